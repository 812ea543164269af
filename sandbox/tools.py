"""The tools that the sandbox needs: on this machine already, or built once into a cache outside the clone.

The engine (`pulumi`), the OpenStack provider, the language host for YAML, the generator of SDKs for TypeScript and actionlint are
Go modules: nothing is downloaded but from package registries.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sandbox.errors import SandboxError

HERE = Path(__file__).parent
_VERSION = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
#: The engine's version: what sandbox/engine/pulumi/go.mod requires; the Automation API asks the binary for it.
ENGINE = "v3.259.0"
_HEARTBEAT = 15.0  # seconds between two signs of life of a long step
_LAST_LINES = 15  # lines of a failed step that its message repeats
_start = time.monotonic()


def say(message: str) -> None:
    """Progress: one line on stderr, with the seconds since the start."""
    print(f"[{time.monotonic() - _start:6.1f} s] {message}", file=sys.stderr, flush=True)


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
    flags = ["-ldflags", f"-s -w -X {_VERSION}={ENGINE}", "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"]
    return _tool("pulumi", "pulumi", flags, "4 to 8 minutes", "install Pulumi: https://www.pulumi.com/docs/iac/download-install/")


def openstack_provider() -> Path:
    """The Terraform provider for OpenStack, bridged to Pulumi: the one on PATH, or built once."""
    flags = ["-ldflags", "-s -w", "."]
    remedy = "put pulumi-resource-openstack on PATH: https://www.pulumi.com/registry/packages/openstack/"
    return _tool("pulumi-resource-openstack", "openstack", flags, "2 to 3 minutes", remedy)


def actionlint() -> Path:
    """The checker of GitHub's workflows: the one on PATH, or built once."""
    flags = ["-ldflags", "-s -w", "github.com/rhysd/actionlint/cmd/actionlint"]
    return _tool(
        "actionlint", "actionlint", flags, "half a minute", "put actionlint on PATH: https://github.com/rhysd/actionlint"
    )


def yaml_host() -> Path:
    """Pulumi's language host for YAML: the one on PATH, or built once."""
    flags = ["-ldflags", "-s -w", "github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml"]
    return _tool("pulumi-language-yaml", "yaml", flags, "1 to 2 minutes", "install Pulumi, which has it")


def nodejs_generator() -> Path:
    """What Pulumi's language host for Node.js makes SDKs with; the host itself is in no registry."""
    return _tool("pulumi-sdk-nodejs", "nodejs", ["-ldflags", "-s -w", "."], "1 to 2 minutes", "leave the tests of TypeScript out")


def _tool(name: str, module: str, flags: Sequence[str], time_needed: str, remedy: str) -> Path:
    found = shutil.which(name)
    if found:
        return Path(found)
    source = HERE / "engine" / module
    target = cache() / f"{name}-{digest(sorted(source.iterdir()))}" / name
    with locked(target.parent):
        if not target.exists():
            say(f"{name} is not on PATH: building it from its Go module, once ({time_needed} on 2 cores), into {target.parent}")
            go = shutil.which("go")
            if go is None:
                raise SandboxError(f"{name}: not on PATH, and there is no Go to build it; install Go 1.26 or later, or {remedy}")
            with _temporary(target) as part:
                run([go, "build", "-mod=readonly", "-o", str(part), *flags], f"building {name}", cwd=source)
            say(f"{name} is built")
    return target


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
        lock = open(folder.with_name(folder.name + ".lock"), "w")
    except OSError as error:
        raise SandboxError(f"{folder}: can't be written ({error.strerror}); set KUBEPORTS_CACHE to a folder of yours") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another run that prepares {folder.name}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    """A path beside the target that becomes the target if all goes well: a killed build leaves nothing half."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        part = Path(folder) / target.name
        yield part
        part.rename(target)


def run(command: Sequence[str], what: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    """Run a long command with signs of life; if it fails, a message with its last lines."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            while True:
                try:
                    code = process.wait(_HEARTBEAT)
                    break
                except subprocess.TimeoutExpired:
                    say(f"… still {what}")
        except BaseException:
            process.kill()
            process.wait()
            raise
        if code:
            output.seek(0)
            tail = "".join(output.readlines()[-_LAST_LINES:])
            raise SandboxError(f"{what} failed with exit code {code}; its last lines:\n{tail}")
