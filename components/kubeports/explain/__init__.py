"""Questions about packets, and their answers.

``question`` reads a question, ``answer`` answers it from a plan, and ``ways`` finds the settings that would change the answer.
"""
