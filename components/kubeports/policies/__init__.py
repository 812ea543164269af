"""Policy as code over the table: a stack's resources, in any of the clouds' spellings, against the plan.

``resources`` reads resources as openings, ``expected`` finds the plan that a stack has, ``checks`` compares, and ``pack`` hands
it to Pulumi's policy SDK. Only ``pack`` imports that SDK.
"""
