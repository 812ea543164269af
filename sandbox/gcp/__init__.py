"""GCP on this machine, as far as firewall rules and nodes need it: the Compute API and its Pulumi provider, both emulated.

Requests are held against Google's discovery document (``sandbox.gcp.compute``, ``sandbox.gcp.nodes``); the provider is in this
process (``sandbox.provider``), or with PROVIDERS=real Pulumi's own. The engine is the real one.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

from sandbox import plugins
from sandbox.cloud import Stored, protocol_number
from sandbox.provider import serve

PROJECT = "kubeports-sandbox"
_PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "esp": 50, "ah": 51, "ipip": 4, "sctp": 132}
#: What a project starts with: https://cloud.google.com/firewall/docs/firewalls#more_rules_default_vpc
DEFAULTS: dict[str, dict[str, Any]] = {
    "default-allow-internal": {
        "sourceRanges": ["10.128.0.0/9"],
        "allowed": [
            {"IPProtocol": "tcp", "ports": ["0-65535"]},
            {"IPProtocol": "udp", "ports": ["0-65535"]},
            {"IPProtocol": "icmp"},
        ],
    },
    "default-allow-ssh": {"sourceRanges": ["0.0.0.0/0"], "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}]},
    "default-allow-rdp": {"sourceRanges": ["0.0.0.0/0"], "allowed": [{"IPProtocol": "tcp", "ports": ["3389"]}]},
    "default-allow-icmp": {"sourceRanges": ["0.0.0.0/0"], "allowed": [{"IPProtocol": "icmp"}]},
}


class GCP:
    """The Compute API, with a network ``default`` and its rules, and the provider; running within a ``with``.

    Args:
        spells_ipip: answer ``ipip`` where ``4`` was written, and the other protocols' names.
    """

    name = "gcp"
    about = "real: the Pulumi engine; emulated: the Compute Engine API and the GCP provider"

    def __init__(self, spells_ipip: bool = False) -> None:
        self._spells_ipip = spells_ipip
        self._is_real = plugins.real()
        if self._is_real:
            self.about = "real: the Pulumi engine and the GCP provider; emulated: the Compute Engine API"
        self.config: dict[str, Any] = {}

    def __enter__(self) -> GCP:
        from sandbox.gcp.compute import TOKEN
        from sandbox.gcp.compute import serve as serve_api
        from sandbox.gcp.nodes import Nodes

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        with ExitStack() as stack:
            self.compute = Nodes(self._spells_ipip)
            self.url = stack.enter_context(serve_api(self.compute))
            self.api = self.connect()
            self.api.networks().insert(project=PROJECT, body={"name": "default"}).execute()
            for name, rule in DEFAULTS.items():
                body = {"name": name, "network": "global/networks/default", "priority": 65534, **rule}
                self.api.firewalls().insert(project=PROJECT, body=body).execute()
            env = self._provider(stack)
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="kubeports-gcp-")))
            self._stack = stack.pop_all()
        self.env = env | {
            "GOOGLE_PROJECT": PROJECT,
            # As Terraform's provider is led to another endpoint, and Google's clients to a service account.
            "GOOGLE_COMPUTE_CUSTOM_ENDPOINT": f"{self.url}/compute/v1/",
            "GOOGLE_APPLICATION_CREDENTIALS": str(_service_account(folder, f"{self.url}{TOKEN}")),
        }
        #: What a stack must say to be on this cloud.
        self.settings: dict[str, Any] = {"network": "default"}
        self.config = {"gcp:project": PROJECT}
        if self._is_real:
            # https://www.pulumi.com/registry/packages/gcp/installation-configuration/
            self.config["gcp:computeCustomEndpoint"] = f"{self.url}/compute/v1/"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def _provider(self, stack: ExitStack) -> dict[str, str]:
        """What the engine needs for the provider: Pulumi's own plugin, or the emulated one, which is served here."""
        if self._is_real:
            return plugins.environment("gcp")
        from sandbox.gcp.provider import over_http, provider

        port = stack.enter_context(serve(provider(over_http(self.api), PROJECT)))
        return {"PULUMI_DEBUG_PROVIDERS": f"gcp:{port}"}

    def connect(self) -> Any:
        """A client of google-api-python-client for the Compute API."""
        import httplib2
        from googleapiclient.discovery import build

        http = httplib2.Http(proxy_info=None)
        return build(
            "compute", "v1", http=http, static_discovery=True, client_options={"api_endpoint": f"{self.url}/compute/v1/"}
        )

    def raw(self) -> dict[str, Any]:
        """What the Compute API answers of the project's firewall rules, Google's own among them."""
        return {"firewalls": self.connect().firewalls().list(project=PROJECT).execute().get("items", [])}

    @contextmanager
    def recording(self) -> Iterator[list[dict[str, Any]]]:
        """What is stored, now and after each call that changes something."""
        states = [self.raw()]
        self.compute.changed = lambda: states.append({"firewalls": self.compute.all_firewalls()})
        try:
            yield states
        finally:
            self.compute.changed = None

    def stored(self) -> list[Stored]:
        """The allowing entries of ``raw``, each with all its sources."""
        found = []
        for rule in self._made():
            sources = [
                *rule.get("sourceRanges", rule.get("destinationRanges", [])),
                *("the nodes' tag" if tag.endswith("-nodes") else f"tag {tag}" for tag in rule.get("sourceTags", [])),
            ]
            for entry in rule.get("allowed", []):
                written = entry["IPProtocol"]
                number = protocol_number(None if written == "all" else written, _PROTOCOLS)
                for ports in entry.get("ports", [None]):
                    first, _, last = (ports or "").partition("-")
                    pair = (int(first), int(last or first)) if first else None
                    ingress = rule["direction"] == "INGRESS"
                    found.append(Stored(ingress, number, pair, written, ", ".join(sources), rule["name"]))
        return found

    def left(self) -> list[str]:
        """The names of the rules but Google's own."""
        return [rule["name"] for rule in self._made()]

    def _made(self) -> list[dict[str, Any]]:
        return [rule for rule in self.raw()["firewalls"] if rule["name"] not in DEFAULTS]


def _service_account(folder: Path, token_uri: str) -> Path:
    """The key file of a service account that the emulator gives tokens to."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    account = {"type": "service_account", "project_id": PROJECT, "private_key_id": "sandbox", "private_key": key.decode()}
    account |= {"client_email": f"sandbox@{PROJECT}.example", "client_id": "1", "token_uri": token_uri}
    file = folder / "service-account.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(account), encoding="utf-8")
    return file
