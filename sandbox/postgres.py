"""A real PostgreSQL on this machine, for the engine's state: its own folder, loopback alone, gone when it ends.

The server is the machine's, or Debian's package, which is installed where the sandbox may do that. PostgreSQL does not run as
root: there it runs as the user `nobody`.
"""

from __future__ import annotations

import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from sandbox.errors import SandboxError
from sandbox.processes import die_with_parent
from sandbox.progress import run, say
from sandbox.tools import cache, locked

#: Where Debian keeps the server's commands, apart from PATH: one folder per version.
_DEBIAN = Path("/usr/lib/postgresql")
_USER, _DATABASE = "pulumi", "postgres"
_PATIENCE = 60.0  # seconds for the server to answer, or to end
_LAST_LINES = 15


def find() -> Path | None:
    """The folder of the server's commands, of the newest version; None where there is none."""
    on_path = shutil.which("initdb")
    if on_path and shutil.which("postgres"):
        return Path(on_path).resolve().parent
    folders = [path.parent for path in _DEBIAN.glob("*/bin/initdb")]
    return max(folders, key=lambda folder: [int(part) for part in re.findall(r"\d+", folder.parent.name)], default=None)


def why_not() -> str:
    """Why there is no PostgreSQL and it can't be installed here; empty where there is, or it can."""
    if find() is not None:
        return ""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return "PostgreSQL is not installed, and only root can install it, with apt-get. Fix: sudo apt-get install postgresql"
    return ""


def install() -> Path:
    """The folder of the server's commands; as root on Debian the package is installed if there are none.

    Raises:
        SandboxError: there are none, and they can't be installed.
    """
    reason = why_not()
    if reason:
        raise SandboxError(reason)
    with locked(cache() / "postgresql"):
        found = find()
        if found is None:
            say("installing Debian's PostgreSQL, once (1 minute)")
            env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
            run(["apt-get", "update", "--quiet"], "reading Debian's list of packages", env=env)
            run(
                ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "postgresql"],
                "installing PostgreSQL",
                env=env,
            )
            found = find()
            if found is None:
                raise SandboxError(f"Debian's postgresql is installed, and has no {_DEBIAN}/*/bin/initdb")
            # The package makes a database of its own and may start it, which is not wanted.
            run(["pg_dropcluster", "--stop", found.parent.name, "main"], "removing the package's own database")
    return found


class PostgreSQL:
    """A server with one database, running within a ``with``; ``url`` is what ``pulumi login`` takes, ``env`` has the password."""

    def __enter__(self) -> PostgreSQL:
        self._bin = install()
        self._account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="kubeports-postgres-"))
        self._server: subprocess.Popen[bytes] | None = None
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop()

    def query(self, statement: str) -> list[str]:
        """The rows that a statement of SQL answers, a line each."""
        command = [str(self._bin / "psql"), "--no-psqlrc", "--tuples-only", "--no-align", "--command", statement]
        done = subprocess.run([*command, self.url], env=os.environ | self.env, capture_output=True, text=True, timeout=_PATIENCE)
        if done.returncode:
            raise SandboxError(f"psql failed:\n{done.stderr}")
        return done.stdout.splitlines()

    def _start(self) -> None:
        password = secrets.token_urlsafe(16)
        # Not in the URL, which is shown here and there.
        self.env = {"PGPASSWORD": password}
        secret, data = self.folder / "password", self.folder / "data"
        secret.touch(mode=0o600)
        secret.write_text(password, encoding="utf-8")
        if self._account is not None:
            for path in (self.folder, secret):
                os.chown(path, self._account.pw_uid, self._account.pw_gid)
        command = [str(self._bin / "initdb"), f"--pgdata={data}", f"--username={_USER}", f"--pwfile={secret}"]
        command += ["--auth=scram-sha-256", "--no-sync"]
        done = subprocess.run(command, **self._as_user(), capture_output=True, text=True)
        if done.returncode:
            raise SandboxError(f"initdb failed:\n{done.stderr}")
        secret.unlink()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"postgres://{_USER}@127.0.0.1:{port}/{_DATABASE}?sslmode=disable"
        settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": self.folder, "fsync": "off"}
        command = [str(self._bin / "postgres"), "-D", str(data), *(f"--{name}={value}" for name, value in settings.items())]
        with open(self.folder / "log", "wb") as log:
            parent = partial(die_with_parent, os.getpid())
            self._server = subprocess.Popen(
                command, **self._as_user(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=parent
            )
        self._answers()

    def _as_user(self) -> dict[str, Any]:
        # The account may not read the folder that this process is in.
        account = self._account
        who = {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        return {"cwd": self.folder, **who}

    def _answers(self) -> None:
        """Wait until the server accepts the password."""
        assert self._server is not None
        until = time.monotonic() + _PATIENCE
        error: object = None
        while time.monotonic() < until and self._server.poll() is None:
            try:
                self.query("SELECT 1")
                return
            except SandboxError as refused:
                error = refused
                time.sleep(0.1)
        tail = "\n".join((self.folder / "log").read_text(errors="replace").splitlines()[-_LAST_LINES:])
        raise SandboxError(f"PostgreSQL does not answer: {error}; the last lines of its log:\n{tail}")

    def _stop(self) -> None:
        if self._server is not None:
            # At once: what it has stored goes too. It takes its own processes along.
            self._server.send_signal(signal.SIGINT)
            try:
                self._server.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._server.send_signal(signal.SIGQUIT)
                self._server.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
