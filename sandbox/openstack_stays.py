"""An OpenStack on this machine that stays until it is ended, for ``make sandbox-up`` and ``make sandbox-down``."""

from __future__ import annotations

import http.client
import json
import urllib.request
from pathlib import Path

from sandbox.openstack import OpenStack
from sandbox.processes import processes
from sandbox.progress import say
from sandbox.tools import cache, locked


def _stays() -> Path:
    """The folder of the one that stays: one per cache, so that its servers are always found."""
    return cache().resolve() / "openstack-stays"


def _state() -> Path:
    return _stays() / "env.json"


def stay() -> None:
    """Start one that stays until ``leave``, and say how to use it."""
    with locked(_stays()):
        if staying() is not None:
            say("an OpenStack runs here already")
        else:
            _end()
            cloud = OpenStack(stays=True, folder=_stays())
            cloud.start()
            part = _state().with_suffix(".part")
            part.touch(mode=0o600)
            part.write_text(json.dumps(cloud.env), encoding="utf-8")
            part.rename(_state())
    print("`make preview STACK=openstack-dev` and `make up STACK=openstack-dev` use it now; `make sandbox-down` ends it.")


def leave() -> None:
    """End the one that stays, if there is one, and say whether there was."""
    with locked(_stays()):
        print("The OpenStack of make sandbox-up has ended." if _end() else "No OpenStack of make sandbox-up runs here.")


def staying() -> dict[str, str] | None:
    """The environment (OS_*) of the one that stays; None if there is none, it does not answer, or its file is damaged."""
    try:
        env = json.loads(_state().read_text(encoding="utf-8"))
        if not isinstance(env, dict) or not all(isinstance(value, str) for value in env.values()):
            return None
        with urllib.request.urlopen(env["OS_AUTH_URL"], timeout=10):
            return env
    except (OSError, ValueError, KeyError, http.client.HTTPException):
        return None


def _end() -> bool:
    """End the servers of the one that stays and remove its folder; whether there were any."""
    cloud = OpenStack(folder=_stays())
    cloud.pids = [pid for pid in processes(_stays()) if _is_server(pid)]
    found = bool(cloud.pids)
    cloud.stop()
    return found


def _is_server(pid: int) -> bool:
    """Whether a process is one of our servers, and not a shell whose working folder it is."""
    try:
        return b"uwsgi" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
