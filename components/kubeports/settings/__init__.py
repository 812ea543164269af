"""A stack's choices, checked: one model for Pulumi config, stack files and the component's arguments.

``KEYS`` has the keys and their defaults. An unknown key is an error at every depth: Pulumi ignores a mistyped key silently, and
a flag without effect opens a port or causes an outage.
"""

from kubeports.settings.keys import KEYS, LIMITS, Key
from kubeports.settings.model import EVERYWHERE, KUBERNETES_TAG, SELF, Change, Outbound, Ref, Settings, Term
from kubeports.settings.reader import STACKED, parse, table_name
from kubeports.settings.services import moved
from kubeports.settings.sources import refuse_internet

__all__ = ["EVERYWHERE", "KEYS", "KUBERNETES_TAG", "LIMITS", "SELF", "STACKED", "Change", "Key", "Outbound", "Ref", "Settings"]
__all__ += ["Term", "moved", "parse", "refuse_internet", "table_name"]
