"""One OpenStack for several processes, each of which has a project of its own in it.

    python -m sandbox.openstack_shared FOLDER

runs it until the last user ends: each user holds a lock that the kernel releases when its process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.openstack import OpenStack
from sandbox.processes import interrupt_on_signals
from sandbox.proxy import Proxy

_USERS, _RUNNING, _LOG = "users.lock", "running.json", "log"


class Tenant(OpenStack):
    """A project with a user, a region and quotas of its own in an OpenStack that runs already; Neutron is reached by ``proxy``.

    Args:
        admin: the environment (OS_*) of the OpenStack's administrator.
        name: of the project, the user and the region.
        groups, rules: the project's quotas.
    """

    def __init__(self, admin: dict[str, str], name: str, *, groups: int = 10, rules: int = 100) -> None:
        super().__init__(groups=groups, rules=rules)
        self._admin = admin
        self._name = name

    def start(self) -> None:
        """Make the project; it goes with the OpenStack."""
        region = {"OS_REGION_NAME": self._name}
        self.env = dict(self._admin)
        with contextlib.closing(self.connect()) as cloud:
            (service,) = (each for each in cloud.identity.services() if each.type == "network")
            (endpoint,) = cloud.identity.endpoints(service_id=service.id, region_id=self._admin["OS_REGION_NAME"])
            self.proxy = Proxy(endpoint.url).__enter__()
            cloud.identity.create_region(id=self._name)
            cloud.identity.create_endpoint(service_id=service.id, interface="public", region_id=self._name, url=self.proxy.url)
            project = cloud.identity.create_project(name=self._name, domain_id="default")
            user = cloud.identity.create_user(name=self._name, domain_id="default", password=self._password)
            cloud.identity.assign_project_role_to_user(project, user, cloud.identity.find_role("member"))
            cloud.network.update_quota(
                project.id, security_groups=self._quotas["groups"], security_group_rules=self._quotas["rules"]
            )
        self.env |= region | {"OS_USERNAME": self._name, "OS_PROJECT_NAME": self._name, "OS_PASSWORD": self._password}


@contextlib.contextmanager
def using(folder: Path) -> Iterator[dict[str, str]]:
    """The environment (OS_*) of the administrator of the OpenStack in a folder, which is started by the first who uses it.

    Raises:
        SandboxError: it does not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / _USERS, "a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        with open(folder / "start.lock", "a") as start:
            fcntl.flock(start, fcntl.LOCK_EX)
            if not (folder / _RUNNING).exists():
                _launch(folder)
        yield dict(json.loads((folder / _RUNNING).read_text(encoding="utf-8")))


def _launch(folder: Path) -> None:
    with open(folder / _LOG, "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(folder)],
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    while not (folder / _RUNNING).exists():
        if process.poll() is not None:
            raise SandboxError(f"the shared OpenStack did not start:\n{(folder / _LOG).read_text(errors='replace')}")
        time.sleep(0.05)


def main(folder: Path) -> None:
    """Run one until no process holds the lock of its users."""
    running = folder / _RUNNING
    # The lock is released last: who comes meanwhile waits, and starts another one.
    with open(folder / _USERS, "a") as users, OpenStack(folder=folder / "services") as cloud:
        part = running.with_suffix(".part")
        part.touch(mode=0o600)
        part.write_text(json.dumps(cloud.env), encoding="utf-8")
        part.rename(running)
        try:
            fcntl.flock(users, fcntl.LOCK_EX)
        finally:
            running.unlink()


if __name__ == "__main__":
    interrupt_on_signals()
    with contextlib.suppress(KeyboardInterrupt):
        main(Path(sys.argv[1]))
