"""The real Keystone and Neutron on this machine: no containers, no system services, no agents; sqlite, loopback alone.

They come from PyPI, into an environment of their own in the cache. Security groups, address groups, networks and ports are
as in any OpenStack; nothing forwards packets.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from sandbox import venv
from sandbox.cloud import Stored, protocol_number
from sandbox.errors import SandboxError
from sandbox.processes import die_with_parent, end, processes
from sandbox.progress import run, say
from sandbox.proxy import Proxy
from sandbox.tools import HERE, cache, digest

REQUIREMENTS = HERE / "openstack-requirements.txt"
_SCHEMA = HERE / "openstack_schema.py"
_FIREWALL = HERE / "openstack_firewall.py"
_PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "ipv6-icmp": 58}
_REGION = "RegionOne"
_PATIENCE = 300.0  # seconds for a server to answer
_LAST_LINES = 15
_PORTS = (15000, 30000)  # net.ipv4.ip_local_port_range starts at 32768

_KEYSTONE = """\
[DEFAULT]
log_file = {folder}/keystone.log
[database]
connection = sqlite:///{folder}/keystone.db
[fernet_tokens]
key_repository = {folder}/fernet
[credential]
key_repository = {folder}/credential
[token]
expiration = 86400
[identity]
# Every client logs in with a random password of this run's own: no time is spent on making guesses slow.
password_hash_algorithm = bcrypt
password_hash_rounds = 4
[cache]
# In its one process: a token's check takes half a second without.
enabled = true
backend = oslo_cache.dict
"""

_NEUTRON = """\
[DEFAULT]
log_file = {folder}/neutron.log
state_path = {folder}/state
core_plugin = ml2
service_plugins =
auth_strategy = keystone
api_paste_config = {venv}/etc/neutron/api-paste.ini
transport_url = fake:///
notify_nova_on_port_status_changes = false
notify_nova_on_port_data_changes = false
[database]
connection = sqlite:///{folder}/neutron.db
[quotas]
quota_security_group = {groups}
quota_security_group_rule = {rules}
[oslo_concurrency]
lock_path = {folder}/lock
[oslo_messaging_notifications]
driver = noop
[keystone_authtoken]
www_authenticate_uri = {auth_url}
auth_url = {auth_url}
auth_type = password
project_domain_name = Default
user_domain_name = Default
project_name = admin
username = admin
password = {password}
[ml2]
type_drivers = local
tenant_network_types = local
mechanism_drivers =
extension_drivers =
"""


class OpenStack:
    """Keystone and Neutron, running between ``start`` and ``stop`` or within a ``with``.

    Args:
        groups, rules: the project's quotas.
        proxied: have clients reach Neutron through ``proxy``, which records and makes calls fail.
        stays: outlive the process that starts it; otherwise it ends with it, even if that is killed.
        folder: for the databases, logs and settings; default: a temporary one. ``start`` makes it, ``stop`` removes it.
    """

    name = "openstack"
    about = "real: the Pulumi engine, the Terraform provider for OpenStack, Keystone and Neutron; emulated: nothing"

    def __init__(
        self, *, groups: int = 10, rules: int = 100, stays: bool = False, folder: Path | None = None, proxied: bool = False
    ) -> None:
        self._quotas = {"groups": groups, "rules": rules}
        self._stays = stays
        self._proxied = proxied
        self._password = secrets.token_urlsafe(16)
        self.folder = folder or Path(tempfile.gettempdir()) / f"kubeports-openstack-{secrets.token_hex(8)}"
        self.pids: list[int] = []
        self.env: dict[str, str] = {}
        self.settings: dict[str, Any] = {}
        self.config: dict[str, Any] = {}
        self.proxy: Proxy | None = None
        self._network: Any = None

    def __enter__(self) -> OpenStack:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Install if need be, then bring both services up; on failure nothing stays."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the processes and remove the folder."""
        if self.proxy is not None:
            self.proxy.__exit__(None, None, None)
            self.proxy = None
        end(self.pids)
        for process in getattr(self, "_processes", []):
            process.poll()
        self.pids = []
        shutil.rmtree(self.folder, ignore_errors=True)

    def connect(self) -> Any:
        """An openstacksdk connection as the user of ``env``."""
        import openstack

        names = {"username", "password", "project_name", "user_domain_name", "project_domain_name", "auth_url"}
        auth: dict[str, Any] = {name: self.env[f"OS_{name.upper()}"] for name in names}
        return openstack.connect(region_name=self.env["OS_REGION_NAME"], load_envvars=False, load_yaml_config=False, **auth)

    def raw(self) -> dict[str, Any]:
        """What Neutron answers of the project's groups but its own default, their rules, and address groups."""
        if self._network is None:
            self._network = self.connect().network
        network = self._network

        def get(path: str) -> list[dict[str, Any]]:
            (items,) = network.get(path).json().values()
            return list(items)

        groups = [group for group in get("/security-groups") if group["name"] != "default"]
        ids = {group["id"] for group in groups}
        rules = [rule for rule in get("/security-group-rules") if rule["security_group_id"] in ids]
        return {"groups": groups, "rules": rules, "address_groups": get("/address-groups")}

    def stored(self) -> list[Stored]:
        """The rules of ``raw``."""
        raw = self.raw()
        names = {group["id"]: group["name"] for group in (*raw["groups"], *raw["address_groups"])}
        found = []
        for rule in raw["rules"]:
            first, last = rule["port_range_min"], rule["port_range_max"]
            other = names.get(rule["remote_group_id"] or rule["remote_address_group_id"], "everywhere")
            source = rule["remote_ip_prefix"] or ("the nodes' group" if other.endswith("-nodes") else other)
            number = protocol_number(rule["protocol"], _PROTOCOLS)
            ports = None if first is None else (first, last)
            written = rule["protocol"] or "any"
            found.append(Stored(rule["direction"] == "ingress", number, ports, written, source, rule["id"]))
        return found

    def left(self) -> list[str]:
        """The names of the project's groups but Neutron's own."""
        raw = self.raw()
        return [group["name"] for group in (*raw["groups"], *raw["address_groups"])]

    @contextlib.contextmanager
    def recording(self) -> Iterator[list[dict[str, Any]]]:
        """What is stored, now and after each call that changes something; needs ``proxied``."""
        assert self.proxy is not None
        states = [self.raw()]
        self.proxy.recorder = lambda: states.append(self.raw())
        try:
            yield states
        finally:
            self.proxy.recorder = None

    def _start(self) -> None:
        self._venv = install()
        say("starting Keystone and Neutron on 127.0.0.1")
        os.environ["NO_PROXY"] = ",".join(filter(None, (os.environ.get("NO_PROXY"), "127.0.0.1")))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        ports = _free_ports(2)
        keystone, neutron = (f"http://127.0.0.1:{port}" for port in ports)
        self._write(f"{keystone}/v3")
        with ThreadPoolExecutor(1) as other:
            keystones = other.submit(self._keystone_database)
            try:
                self._neutron_database()
                keystones.result()
            except BaseException:
                # The other thread would go on to its end.
                for pid in processes(self.folder):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGTERM)
                raise
        # From this thread, for a process ends with the thread that started it; while they load, Keystone gets its users.
        for name, port in zip(("keystone", "neutron"), ports, strict=True):
            self._serve(name, port)
        self._bootstrap(f"{keystone}/v3/")
        self._answers("keystone", f"{keystone}/v3")
        self._answers("neutron", f"{neutron}/")
        self.env = {
            "OS_AUTH_URL": f"{keystone}/v3",
            "OS_IDENTITY_API_VERSION": "3",
            "OS_USERNAME": "admin",
            "OS_PASSWORD": self._password,
            "OS_PROJECT_NAME": "admin",
            "OS_USER_DOMAIN_NAME": "Default",
            "OS_PROJECT_DOMAIN_NAME": "Default",
            "OS_REGION_NAME": _REGION,
        }
        with contextlib.closing(self.connect()) as cloud:
            if self._proxied:
                self.proxy = Proxy(neutron).__enter__()
                neutron = self.proxy.url
            service = cloud.identity.create_service(type="network", name="neutron")
            cloud.identity.create_endpoint(service_id=service.id, interface="public", region_id=_REGION, url=neutron)
        say("Keystone and Neutron answer")

    def _write(self, auth_url: str) -> None:
        values = {"folder": self.folder, "venv": self._venv, "auth_url": auth_url, "password": self._password, **self._quotas}
        for name, text in (("keystone", _KEYSTONE), ("neutron", _NEUTRON)):
            file = self.folder / f"{name}.conf"
            file.touch(mode=0o600)
            file.write_text(text.format(**values), encoding="utf-8")
        for name in ("fernet", "credential", "lock", "state"):
            (self.folder / name).mkdir(mode=0o700, exist_ok=True)

    def _keystone_database(self) -> None:
        self._database("keystone", lambda: self._manage("db_sync", what="creating Keystone's database"))

    def _bootstrap(self, url: str) -> None:
        _keys(self.folder / "fernet")
        urls = [part for kind in ("public", "internal", "admin") for part in (f"--bootstrap-{kind}-url", url)]
        # The password goes by the environment: a command line can be read by everybody.
        env = _environ(OS_BOOTSTRAP_PASSWORD=self._password)
        self._manage("bootstrap", "--bootstrap-region-id", _REGION, *urls, what="setting Keystone up", env=env)

    def _manage(self, *command: str, what: str, env: dict[str, str] | None = None) -> None:
        manage = [str(self._venv / "bin" / "keystone-manage"), "--config-file", str(self.folder / "keystone.conf")]
        self._quietly([*manage, *command], what, env)

    def _neutron_database(self) -> None:
        python, conf = str(self._venv / "bin" / "python"), str(self.folder / "neutron.conf")

        def create() -> None:
            self._quietly([python, "-P", str(_SCHEMA), str(self.folder / "neutron.db")], "creating Neutron's database")
            manage = str(self._venv / "bin" / "neutron-db-manage")
            self._quietly([manage, "--config-file", conf, "stamp", "heads"], "stamping Neutron's database")

        self._database("neutron", create)

    def _database(self, name: str, create: Callable[[], None]) -> None:
        """An empty database with its schema: made once, then copied."""
        kept = cache() / f"openstack-{digest([REQUIREMENTS, _SCHEMA])}-{name}.db"
        mine = self.folder / f"{name}.db"
        if kept.exists():
            shutil.copy(kept, mine)
            return
        create()
        part = kept.with_suffix(f".{os.getpid()}")
        subprocess.run([sys.executable, "-c", _VACUUM, str(mine), str(part)], check=True)
        part.rename(kept)

    def _quietly(self, command: list[str], what: str, env: dict[str, str] | None = None) -> None:
        run(command, what, cwd=self.folder, env=env or _environ())

    def _serve(self, name: str, port: int) -> None:
        # One thread: sqlite answers parallel writes with "database is locked".
        command = [str(self._venv / "bin" / "uwsgi"), "--http-socket", f"127.0.0.1:{port}", "--master", "--no-orphans"]
        command += ["--processes", "1", "--threads", "1", "--enable-threads", "--lazy-apps", "--need-app", "--die-on-term"]
        command += ["--buffer-size", "65535", "--add-header", "Connection: close", "--disable-logging"]
        command += ["--home", str(self._venv), "--module", f"{name}.wsgi.api:application"]
        env = _environ(
            OS_KEYSTONE_CONFIG_FILES=str(self.folder / "keystone.conf"),
            OS_KEYSTONE_CONFIG_DIR=str(self.folder),
            OS_NEUTRON_CONFIG_FILES=str(self.folder / "neutron.conf"),
        )
        with open(self.folder / f"{name}.out", "wb") as output:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=None if self._stays else partial(die_with_parent, os.getpid()),
            )
        self.pids.append(process.pid)
        self._processes = [*getattr(self, "_processes", []), process]

    def _answers(self, name: str, url: str) -> None:
        """Wait until a server answers; 401 is an answer too."""
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            if any(process.poll() is not None for process in self._processes):
                break
            try:
                with urllib.request.urlopen(url, timeout=10):
                    return
            except urllib.error.HTTPError as error:
                if error.code < 500:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        logs = [self.folder / f"{name}.out", self.folder / f"{name}.log"]
        lines = [line for log in logs if log.exists() for line in log.read_text(errors="replace").splitlines()]
        tail = "\n".join(lines[-_LAST_LINES:])
        raise SandboxError(f"{name} does not answer at {url}; the last lines of its log:\n{tail}")


_VACUUM = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('VACUUM INTO ?', (sys.argv[2],))"


def install() -> Path:
    """The environment with Keystone and Neutron: made once per list of requirements."""
    return venv.once("openstack", REQUIREMENTS, "Keystone and Neutron")


def _environ(**more: str) -> dict[str, str]:
    """This process's environment; bytecode is written, into the cache: without it each start takes seconds more."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | more


def render(given: dict[str, Any]) -> dict[str, Any]:
    """What Neutron's own firewall drivers make of rules (``sandbox/openstack_firewall.py`` says in which shape)."""
    command = [str(install() / "bin" / "python"), "-P", str(_FIREWALL)]
    answer = subprocess.run(command, input=json.dumps(given), env=_environ(), capture_output=True, text=True, timeout=_PATIENCE)
    if answer.returncode:
        raise SandboxError(f"Neutron's firewall drivers failed; the last lines:\n{answer.stderr[-2000:]}")
    rendered: dict[str, Any] = json.loads(answer.stdout)
    return rendered


def _keys(folder: Path) -> None:
    """A repository of Fernet keys, the staged and the primary one, as ``keystone-manage fernet_setup`` makes it (in seconds).

    Source: ``FernetUtils.initialize_key_repository`` and ``_create_tmp_new_key`` in keystone/common/fernet_utils.py.
    """
    for name in ("0", "1"):
        file = folder / name
        file.touch(mode=0o600)
        file.write_bytes(base64.urlsafe_b64encode(secrets.token_bytes(32)))


def _free_ports(number: int) -> list[int]:
    """Ports without a listener, below those that the kernel gives to clients: none of them takes one until it is served."""
    random = secrets.SystemRandom()
    with contextlib.ExitStack() as held:
        found: list[int] = []
        while len(found) < number:
            port = random.randrange(*_PORTS)
            with contextlib.suppress(OSError):
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
                found.append(port)
        return found
