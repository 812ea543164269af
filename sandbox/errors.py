"""What a user can cause or fix, in one message."""


class SandboxError(Exception):
    """The sandbox can't go on; the message names the problem and the fix."""
