"""What a user can cause or mend, said in one message."""


class SandboxError(Exception):
    """The sandbox can't go on; the message says what is wrong and what would be right."""
