"""AWS on this machine, as far as security groups and their nodes need it: EC2 and its Pulumi provider, both emulated.

EC2 is moto's, made stricter (``sandbox.aws.ec2``, ``sandbox.aws.nodes``), and answers boto3 and the AWS command line on
loopback; the provider is in this process (``sandbox.provider``), or with PROVIDERS=real Pulumi's own. The engine is the real one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any

from sandbox import plugins
from sandbox.cloud import Stored, protocol_number
from sandbox.provider import serve

REGION = "eu-central-1"
_PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58}
_KEY = "sandbox"  # the emulated EC2 asks for no secret
#: The functions of moto's backend that change groups and rules.
_CHANGING = (
    "create_security_group",
    "delete_security_group",
    "modify_security_group_rules",
    *(f"{verb}_security_group_{direction}" for verb in ("authorize", "revoke") for direction in ("ingress", "egress")),
)


def _real_config(url: str) -> dict[str, Any]:
    """What leads Pulumi's own provider to the emulated EC2: https://www.pulumi.com/registry/packages/aws/installation-configuration/.

    The account is asked for (sts), because the provider identifies groups of other accounts by it.
    """
    skipped = ("skipCredentialsValidation", "skipMetadataApiCheck", "skipRegionValidation")
    endpoints = [{"ec2": url, "sts": url, "iam": url}]
    return {"aws:endpoints": endpoints, **{f"aws:{name}": True for name in skipped}}


class AWS:
    """EC2 and the provider, running within a ``with``. One at a time in a process: moto keeps its state there.

    Args:
        rules: the account's quota of rules per group, direction and family.
    """

    name = "aws"
    about = "real: the Pulumi engine; emulated: the EC2 API (moto, made as strict as EC2) and the AWS provider"

    def __init__(self, rules: int = 60) -> None:
        self._rules = rules
        self._is_real = plugins.real()
        if self._is_real:
            self.about = "real: the Pulumi engine and the AWS provider; emulated: the EC2 API (moto, made as strict as EC2)"
        self.config: dict[str, Any] = {}

    def __enter__(self) -> AWS:
        from moto.ec2.models import ec2_backends

        from sandbox.aws.nodes import StrictNodes
        from sandbox.moto_server import MotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        ec2_backends.clear()
        ec2_backends.backend = type("EC2", (StrictNodes,), {"rules": self._rules, "__module__": StrictNodes.__module__})
        with ExitStack() as stack:
            server = MotoServer()
            server.start()
            stack.callback(server.stop)
            self.url = "http://{}:{}".format(*server.get_host_and_port())
            self.ec2 = self.connect()
            self.vpc = self.ec2.create_vpc(CidrBlock="10.0.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]["VpcId"]
            env = self._provider(stack)
            self._stack = stack.pop_all()
        self.env = env | {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _KEY,
            "AWS_REGION": REGION,
        }
        #: What a stack must say to be on this cloud.
        self.settings: dict[str, Any] = {"network": self.vpc}
        self.config = {"aws:region": REGION, **(_real_config(self.url) if self._is_real else {})}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def _provider(self, stack: ExitStack) -> dict[str, str]:
        """What the engine needs for the provider: Pulumi's own plugin, or the emulated one, which is served here."""
        if self._is_real:
            return plugins.environment("aws")
        from sandbox.aws.provider import provider

        port = stack.enter_context(serve(provider(self._client)))
        return {"PULUMI_DEBUG_PROVIDERS": f"aws:{port}"}

    def _client(self, region: str | None) -> Any:
        """The client of the provider's for a region: ``recording`` listens to the one of the own region."""
        return self.ec2 if region in (None, REGION) else self.connect(region)

    def connect(self, region: str | None = None) -> Any:
        """A boto3 client for EC2 in a region; None: the own one."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "ec2",
            endpoint_url=self.url,
            region_name=region or REGION,
            aws_access_key_id=_KEY,
            aws_secret_access_key=_KEY,
            config=Config(proxies={}, retries={"total_max_attempts": 1}, max_pool_connections=16),
        )

    def raw(self) -> dict[str, Any]:
        """What EC2 answers of the VPC's groups but its own default, and their rules."""
        answer = self.ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [self.vpc]}])
        groups = [group for group in answer["SecurityGroups"] if group["GroupName"] != "default"]
        ids = {group["GroupId"] for group in groups}
        rules = self.ec2.describe_security_group_rules()["SecurityGroupRules"]
        return {"groups": groups, "rules": [rule for rule in rules if rule["GroupId"] in ids]}

    @contextmanager
    def recording(self) -> Iterator[list[dict[str, Any]]]:
        """What is stored, now and after each call of the provider's that changes something."""
        if self._is_real:
            with self._recording_calls() as states:
                yield states
            return
        states, lock, events = [self.raw()], threading.RLock(), self.ec2.meta.events

        def before(model: Any, **_: Any) -> None:
            if not model.name.startswith("Describe"):
                lock.acquire()

        def after(model: Any, **_: Any) -> None:
            if not model.name.startswith("Describe"):
                states.append(self.raw())
                lock.release()

        events.register("before-call.ec2", before)
        events.register("after-call.ec2", after)
        try:
            yield states
        finally:
            events.unregister("before-call.ec2", before)
            events.unregister("after-call.ec2", after)

    @contextmanager
    def _recording_calls(self) -> Iterator[list[dict[str, Any]]]:
        """As ``recording``, where another process makes the calls: after each change of EC2's groups and rules."""
        from moto.ec2.models import ec2_backends

        from sandbox.aws.in_process import Client

        states, lock = [self.raw()], threading.RLock()
        backend: Any = next(iter(ec2_backends.values()))[REGION]
        here = Client(backend=backend)

        def recorded(function: Any) -> Any:
            def call(*arguments: Any, **more: Any) -> Any:
                with lock:
                    answer = function(*arguments, **more)
                    ids = [group.id for group in backend.groups[self.vpc].values() if group.name != "default"]
                    rules = here.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": ids}])
                    states.append(
                        {
                            "groups": here.describe_security_groups(GroupIds=ids)["SecurityGroups"],
                            "rules": rules["SecurityGroupRules"],
                        }
                    )
                    return answer

            return call

        for name in _CHANGING:
            setattr(backend, name, recorded(getattr(backend, name)))
        try:
            yield states
        finally:
            for name in _CHANGING:
                delattr(backend, name)

    def stored(self) -> list[Stored]:
        """The rules of ``raw``."""
        names = {group["GroupId"]: group["GroupName"] for group in self.raw()["groups"]}
        found = []
        for rule in self.raw()["rules"]:
            written = rule["IpProtocol"]
            ports = (rule["FromPort"], rule["ToPort"]) if written in ("tcp", "udp") else None
            group = rule.get("ReferencedGroupInfo", {}).get("GroupId", "")
            source = rule.get("CidrIpv4") or rule.get("CidrIpv6") or rule.get("PrefixListId") or _group(names.get(group, group))
            number = protocol_number(None if written == "-1" else written, _PROTOCOLS)
            found.append(Stored(not rule["IsEgress"], number, ports, written, source, rule["SecurityGroupRuleId"]))
        return found

    def left(self) -> list[str]:
        """The names of the VPC's groups but EC2's own."""
        return [group["GroupName"] for group in self.raw()["groups"]]


def _group(name: str) -> str:
    return "the nodes' group" if "-nodes" in name else name
