"""The tools that the sandbox needs: on this machine already, or built once into a cache outside the clone.

The engine (`pulumi`), the OpenStack provider, the language host for YAML, the generator of SDKs for TypeScript and actionlint are
Go modules: nothing is downloaded but from package registries.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sandbox.errors import SandboxError
from sandbox.progress import run, say, wait_for

HERE = Path(__file__).parent
ROOT = HERE.parent
_VERSION = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
#: The engine's version: what sandbox/engine/pulumi/go.mod requires; the Automation API asks the binary for it.
ENGINE = "v3.259.0"
#: One at a time in a process: two share many packages, which the second then finds compiled.
_compiling = threading.Lock()


@dataclass(frozen=True, slots=True)
class GoTool:
    """A command that is built from a Go module.

    Args:
        name: of the executable.
        module: the folder in ``sandbox/engine`` that requires and pins it.
        package: its import path.
        remedy: what to do where there is no Go.
        version: a variable of the linker's to set, with its value.
        rare: patterns of packages that nothing here runs often: compiled without optimization, in about half the time.
    """

    name: str
    module: str
    package: str
    remedy: str
    version: str = ""
    rare: Sequence[str] = ()

    def flags(self) -> list[str]:
        """What ``go build`` and ``go list`` get: no debug information."""
        link = "-s -w" + (f" -X {self.version}" if self.version else "")
        slow = [f"-gcflags={pattern}=-N -l -dwarf=false" for pattern in self.rare]
        return ["-mod=readonly", "-gcflags=all=-dwarf=false", *slow, "-ldflags", link]


PULUMI = GoTool(
    "pulumi",
    "pulumi",
    "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    "install Pulumi: https://www.pulumi.com/docs/iac/download-install/",
    f"{_VERSION}={ENGINE}",
    # `pulumi cloud` and `esc`, key management services, buckets, tracing: a third of the time.
    (
        "github.com/pb33f/...",
        "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi/cloud",
        "github.com/alecthomas/...",
        "github.com/aws/...",
        "github.com/Azure/...",
        "github.com/AzureAD/...",
        "cloud.google.com/...",
        "google.golang.org/api/...",
        "github.com/envoyproxy/...",
        "github.com/google/go-tpm/...",
    ),
)
OPENSTACK_PROVIDER = GoTool(
    "pulumi-resource-openstack",
    "openstack",
    ".",
    "put pulumi-resource-openstack on PATH: https://www.pulumi.com/registry/packages/openstack/",
)
ACTIONLINT = GoTool(
    "actionlint",
    "actionlint",
    "github.com/rhysd/actionlint/cmd/actionlint",
    "put actionlint on PATH: https://github.com/rhysd/actionlint",
)
YAML_HOST = GoTool(
    "pulumi-language-yaml", "yaml", "github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml", "install Pulumi, which has it"
)
NODEJS_GENERATOR = GoTool("pulumi-sdk-nodejs", "nodejs", ".", "leave the tests of TypeScript out")
GO_TOOLS = (PULUMI, OPENSTACK_PROVIDER, YAML_HOST, NODEJS_GENERATOR, ACTIONLINT)


def cache() -> Path:
    """Where built and installed tools stay: $KUBEPORTS_CACHE, or kubeports in the user's cache folder."""
    given = os.environ.get("KUBEPORTS_CACHE")
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    if not given:
        return user / "kubeports"
    found = Path(given).expanduser().resolve()
    os.environ["KUBEPORTS_CACHE"] = str(found)  # children stand in other folders
    return found


def pulumi() -> Path:
    """The engine: the one on PATH, or built once."""
    return built(PULUMI)


def openstack_provider() -> Path:
    """The Terraform provider for OpenStack, bridged to Pulumi: the one on PATH, or built once."""
    return built(OPENSTACK_PROVIDER)


def actionlint() -> Path:
    """The checker of GitHub's workflows: the one on PATH, or built once."""
    return built(ACTIONLINT)


def yaml_host() -> Path:
    """Pulumi's language host for YAML: the one on PATH, or built once."""
    return built(YAML_HOST)


def nodejs_generator() -> Path:
    """What Pulumi's language host for Node.js makes SDKs with; the host itself is in no registry."""
    return built(NODEJS_GENERATOR)


def built(tool: GoTool) -> Path:
    """Where a command is: the one on PATH, or built once per list of modules.

    Raises:
        SandboxError: there is neither the command nor Go, or the build fails.
    """
    found = shutil.which(tool.name)
    if found:
        return Path(found)
    source = HERE / "engine" / tool.module
    target = cache() / f"{tool.name}-{digest(sorted(source.iterdir()))}" / tool.name
    if target.exists():
        return target
    with locked(target.parent):
        if not target.exists():
            say(f"{tool.name} is not on PATH: building it from its Go module, once, into {target.parent}")
            go = shutil.which("go")
            if go is None:
                raise SandboxError(
                    f"{tool.name}: not on PATH, and there is no Go to build it; install Go 1.26 or later, or {tool.remedy}"
                )
            with _temporary(target) as part:
                _build(tool, go, source, part)
            say(f"{tool.name} is built")
    return target


def _build(tool: GoTool, go: str, source: Path, part: Path) -> None:
    # No C compiler is needed then. The compiler is short-lived: it need not collect its garbage so often.
    env = os.environ | {"CGO_ENABLED": "0", "GOGC": "400", "GOTMPDIR": str(part.parent), "GOFLAGS": _without_vcs()}
    form = "{{if .Stale}}{{.ImportPath}}{{end}}"
    listing = [go, "list", "-deps", "-f", form, *tool.flags(), tool.package]
    lines = run(listing, f"downloading the Go modules of {tool.name}", source, env, _downloaded)
    total = sum(" " not in line for line in lines)
    build = [go, "build", "-v", "-o", str(part), *tool.flags(), tool.package]
    with _compiling:
        run(build, f"building {tool.name}", source, env, lambda lines: f"{len(lines)} of {total} packages compiled")


def _downloaded(lines: Sequence[str]) -> str:
    return f"{sum(line.startswith('go: downloading ') for line in lines)} so far"


def _without_vcs() -> str:
    # The clone's Git state is not part of a tool, and need not be readable.
    return " ".join(filter(None, (os.environ.get("GOFLAGS"), "-buildvcs=false")))


def digest(files: Sequence[Path]) -> str:
    """A name for the contents of files: another pin is another name, and so built anew."""
    content = hashlib.sha256()
    for file in files:
        content.update(file.name.encode() + b"\0" + file.read_bytes())
    return content.hexdigest()[:12]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a lock beside a folder, so that two runs at once do a thing once; the folder is there then."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(folder, error) from None
    with held(folder.with_name(folder.name + ".lock")):
        yield


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Hold a lock on a file, which is made; it is free when this process ends, however it ends."""
    try:
        lock = open(file, "w")
    except OSError as error:
        raise _not_writable(file, error) from None
    with lock:
        wait_for(lambda: _taken(lock), f"waiting for another run that has {file}")
        yield


def _not_writable(path: Path, error: OSError) -> SandboxError:
    return SandboxError(f"{path}: can't be written ({error.strerror}). Fix: set KUBEPORTS_CACHE to a folder of yours")


def _taken(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    """A path beside the target that becomes the target if all goes well: a killed build leaves nothing half."""
    for old in target.parent.iterdir():
        shutil.rmtree(old, ignore_errors=True)  # of a build that was killed
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        part = Path(folder) / target.name
        yield part
        part.rename(target)
