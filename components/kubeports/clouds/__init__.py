"""The clouds: one module each, with the same functions.

- ``encode(plan)`` turns the rules into resources as plain data, with markers where an id is not known yet;
- ``limits(plan, name)`` refuses what the cloud would refuse halfway;
- ``create(name, plan, opts)`` makes the resources; it alone imports the cloud's SDK.

``kubeports.testing.conforms`` checks that a cloud's reader reads what ``encode`` writes. docs/extending.md shows how to add one.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, requires
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, get_args

from kubeports.clouds.capabilities import Capabilities
from kubeports.errors import InputError, bad

if TYPE_CHECKING:
    import pulumi

    from kubeports.clouds.fields import Declared, Identities
    from kubeports.clouds.reading import Given, Reading
    from kubeports.clouds.resources import Made, Resources
    from kubeports.flows import Flow
    from kubeports.networks import Network
    from kubeports.rules import Plan
    from kubeports.settings import Settings


#: The clouds of this package.
Cloud = Literal["aws", "gcp", "openstack", "host"]
CLOUDS: tuple[Cloud, ...] = get_args(Cloud)
#: Where other packages name theirs: https://packaging.python.org/en/latest/specifications/entry-points/
ENTRY_POINTS = "kubeports.clouds"


class Reader(Protocol):
    """How a cloud's rules are read, as flows; a cloud of another package may have none."""

    def of_api(self, raw: Mapping[str, Any]) -> Iterable[Flow]:
        """The flows of what the cloud's API answers; lists of networks are peers."""

    def of_inputs(self, resource: Declared, who: Identities) -> Iterable[Flow]:
        """The flows of a resource of a program; none where it has no rules."""

    def rules(self, raw: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
        """The API's rules by the ids of their flows."""

    def lists(self, raw: Mapping[str, Any]) -> Mapping[str, Sequence[Network]]:
        """The networks in the lists that the client could read, by their ids."""

    def described(self, rule: Mapping[str, Any]) -> str:
        """What a rule of the API says of itself."""

    def controller(self, rule: Mapping[str, Any], names: Mapping[str, str]) -> str:
        """Which controller made a rule of the API, as far as it says: ``Kubernetes: ...``; empty: none that is known."""

    def declared_list(self, resource: Declared, resources: Mapping[str, Declared]) -> list[Network] | None:
        """The networks of a list that a program makes; None: it is none."""

    def marked(self, resource: Declared, cluster: str) -> Sequence[str]:
        """The targets of a cluster whose group a resource of a program is."""


class Backend(Protocol):
    """What a cloud's module has, and besides it maybe ``read`` (``Reader``) and ``account`` (``Account``)."""

    facts: Any
    read: Any

    def encode(self, plan: Plan) -> Resources:
        """The plan's rules as resources."""

    def limits(self, plan: Plan, name: str) -> None:
        """Raise InputError where the plan, as a firewall of this name, has more than the cloud takes."""

    def create(self, name: str, plan: Plan, opts: pulumi.ResourceOptions) -> Mapping[str, Made]:
        """Make the groups and rules; target -> its group."""


class Account(Protocol):
    """What reads a cloud's account, with the cloud's own client; nothing is ever written.

    Credentials, region and project are those of the client (AWS_*, gcloud's application default credentials, OS_*), and what
    the stack's file says to Pulumi's provider, such as ``aws:region`` or ``gcp:project``.
    """

    def read(self, settings: Settings, given: Given, provider: Mapping[str, str]) -> Reading:
        """The stack's groups and their rules.

        Args:
            settings: the stack's.
            given: the groups that ``--group`` names.
            provider: what the stack's file says to Pulumi's provider of the cloud.

        Raises:
            UnreadableError: the cloud can't be read.
        """


def account(cloud: str) -> Account:
    """What reads a cloud's account.

    Raises:
        InputError: the cloud has no such thing.
    """
    found = getattr(backend(cloud), "account", None)
    if found is None:
        raise bad(
            "cloud", f"{cloud} can't be audited: its package has no account reader", "see docs/extending.md for what a cloud has"
        )
    return cast(Account, found)


def parts(cloud: str, plan: Plan, reading: Reading) -> Iterable[tuple[str, Plan, Reading]]:
    """What is compared by itself: the stack, or where each node has rules of its own, each node; name, plan and reading."""
    found = getattr(account(cloud), "parts", None)
    whole = [("", plan, reading)]
    return whole if found is None else cast("Iterable[tuple[str, Plan, Reading]]", found(plan, reading))


def readable() -> dict[str, Backend]:
    """The clouds whose rules can be read, by name: those of other packages as far as they can be loaded."""
    found: dict[str, Backend] = {cloud: backend(cloud) for cloud in CLOUDS}
    for name in added():
        with suppress(InputError):
            found[name] = backend(name)
    return {name: cloud for name, cloud in found.items() if getattr(cloud, "read", None) and getattr(cloud, "facts", None)}


def effective(cloud: str, flows: Iterable[Flow], named: Collection[int | None] = ()) -> list[Flow]:
    """What stays of the flows of a node where rules deny and have priorities; on other clouds all."""
    rank = getattr(backend(cloud).read, "effective", None)
    return list(flows) if rank is None else cast("list[Flow]", rank(flows, named))


def partly_denied(cloud: str, flow: Flow, denials: Iterable[Flow], whole: bool = False) -> list[Flow]:
    """The denials that take a flow away for some of its peers, the rules don't show which; ``whole``: for any."""
    reader = backend(cloud).read
    rank = getattr(reader, "denied" if whole else "partly_denied", None)
    return [] if rank is None else cast("list[Flow]", rank(flow, denials))


def has_networks(cloud: str) -> bool:
    """Whether rules of a cloud belong to a network, so that groups of one name may be several."""
    return hasattr(getattr(backend(cloud), "read", None), "apart")


def apart(cloud: str, one: str, other: str) -> bool:
    """Whether two networks of rules are certainly not the same; never where a cloud's rules have no network."""
    return has_networks(cloud) and bool(backend(cloud).read.apart(one, other))


def known() -> tuple[str, ...]:
    """The names of all clouds."""
    return (*CLOUDS, *added())


def added() -> dict[str, EntryPoint]:
    """The clouds of other packages, by name: the entry points of the group ``kubeports.clouds``."""
    return _installed(tuple(sys.path))


@lru_cache(maxsize=1)
def _installed(path: tuple[str, ...]) -> dict[str, EntryPoint]:
    """Looks into every installed package, which takes milliseconds, once for a ``sys.path``."""
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS) if entry.name not in CLOUDS}


def backend(cloud: str) -> Backend:
    """The module of a cloud: one of CLOUDS, or of ``added``.

    Raises:
        InputError: the module of another package can't be loaded, or lacks a function.
    """
    if cloud in CLOUDS:
        return cast(Backend, import_module(f"{__name__}.{cloud}"))
    entry = added()[cloud]
    try:
        module = entry.load()
    except Exception as error:  # whatever another package's module does when it is imported
        what = f"{cloud} ({entry.value}) can't be loaded: {type(error).__name__}: {error}"
        raise bad("cloud", what, "fix or update the package that has it") from None
    if missing := [name for name in ("encode", "limits", "create") if not callable(getattr(module, name, None))]:
        raise bad("cloud", f"{cloud} ({entry.value}) lacks {', '.join(missing)}", "see docs/extending.md for what a cloud has")
    return cast(Backend, module)


def capabilities(cloud: str) -> Capabilities:
    """What a cloud can do; of a cloud of another package without facts, the defaults.

    Raises:
        InputError: the module of another package can't be loaded.
    """
    facts = getattr(backend(cloud), "facts", None)
    return getattr(facts, "CAPABILITIES", None) or Capabilities(title=cloud)


def require_sdk(cloud: str) -> None:
    """Refuse a cloud whose SDK is not installed, with the command that installs it into this very environment.

    ``added`` clouds require theirs themselves; a cloud of files needs none.
    """
    if cloud in CLOUDS and getattr(backend(cloud).facts, "NEEDS_SDK", True) and find_spec(f"pulumi_{cloud}") is None:
        right = f"{shlex.quote(sys.executable)} -m pip install {shlex.quote(_wanted(cloud))}"
        raise bad("cloud", f"{cloud} needs the package pulumi-{cloud}, which is not installed", right)


def _wanted(cloud: str) -> str:
    """A cloud's SDK with the versions that the extra of that name asks for."""
    with suppress(PackageNotFoundError):  # run from a folder, without installation
        for requirement in requires("kubeports") or ():
            if requirement.startswith(f"pulumi-{cloud}"):
                return requirement.partition(";")[0].strip()
    return f"pulumi-{cloud}"
