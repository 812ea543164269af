"""PROVIDERS=real: Pulumi's own provider plugins in front of the emulated APIs, instead of the emulated providers.

No package registry has the plugins for AWS and GCP. They are looked for on PATH and where ``pulumi plugin install`` puts them
(https://www.pulumi.com/docs/iac/cli/commands/pulumi_plugin_install/).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from sandbox.errors import SandboxError

EMULATED, REAL = "emulated", "real"
#: Set in a cloud's environment by ``environment``: the plugin that the engine starts, as PACKAGE=PATH.
VARIABLE = "KUBEPORTS_PROVIDER_PLUGIN"


def real() -> bool:
    """Whether $PROVIDERS asks for the real providers.

    Raises:
        SandboxError: it has another value than ``emulated`` (the default) or ``real``.
    """
    given = os.environ.get("PROVIDERS") or EMULATED
    if given not in (EMULATED, REAL):
        raise SandboxError(f"PROVIDERS={given}: unknown value. Fix: write {EMULATED} or {REAL}")
    return given == REAL


def find(package: str) -> Path:
    """The executable of a provider plugin, such as ``aws``, in the version of its SDK for Python or from PATH.

    Raises:
        SandboxError: there is none.
    """
    name, wanted = f"pulumi-resource-{package}", version(f"pulumi-{package}")
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    found = shutil.which(name) or shutil.which(name, path=str(home / "plugins" / f"resource-{package}-v{wanted}"))
    if found is None:
        raise SandboxError(
            f"PROVIDERS=real: {name} {wanted} is neither on PATH nor in {home / 'plugins'}; "
            f"install it: pulumi plugin install resource {package} {wanted}"
        )
    return Path(found).resolve()


def environment(package: str) -> dict[str, str]:
    """The variable that makes Pulumi start a plugin."""
    return {VARIABLE: f"{package}={find(package)}"}


def named(env: Mapping[str, str]) -> tuple[str, Path] | None:
    """The package and the plugin of a cloud's environment."""
    if VARIABLE not in env:
        return None
    package, _, path = env[VARIABLE].partition("=")
    return package, Path(path)
