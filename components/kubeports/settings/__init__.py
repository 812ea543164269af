"""A stack's choices, checked: one model for Pulumi config, stack files and the component's arguments.

``KEYS`` has the keys and their defaults. An unknown key is an error at every depth: Pulumi ignores a mistyped key silently, and
a flag without effect opens a port or causes an outage.
"""

from kubeports.settings.keys import KEYS as KEYS
from kubeports.settings.keys import LIMITS as LIMITS
from kubeports.settings.keys import Key as Key
from kubeports.settings.model import EVERYWHERE as EVERYWHERE
from kubeports.settings.model import KUBERNETES_TAG as KUBERNETES_TAG
from kubeports.settings.model import SELF as SELF
from kubeports.settings.model import Change as Change
from kubeports.settings.model import Outbound as Outbound
from kubeports.settings.model import Ref as Ref
from kubeports.settings.model import Settings as Settings
from kubeports.settings.model import Term as Term
from kubeports.settings.reader import STACKED as STACKED
from kubeports.settings.reader import parse as parse
from kubeports.settings.reader import table_name as table_name
from kubeports.settings.services import moved as moved
from kubeports.settings.sources import refuse_internet as refuse_internet
