"""Policy as code over the table: compares a stack's resources, in each form that the clouds' SDKs have, with the plan.

``program`` reads resources as flows, ``expected`` finds the plan that a stack has, ``checks`` compares, and ``pack`` hands
it to Pulumi's policy SDK. Only ``pack`` imports that SDK.
"""
