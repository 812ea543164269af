"""Write docs/messages.md anew: python -m tests.messages."""

from tests.messages import write

write()
