"""Firewall rules of a network on GCP, by Google's API client (docs/decisions/0019 says why this one)."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kubeports.clouds.reading import TIMEOUT, Given, Groups, Reading, UnreadableError, absent, named_groups, require_client, short
from kubeports.settings import Settings

#: As gcloud, Terraform and Pulumi look for it.
_PROJECT = ("GOOGLE_PROJECT", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT")
#: https://registry.terraform.io/providers/hashicorp/google/latest/docs/guides/provider_reference#access_approval_custom_endpoint
_ENDPOINT = "GOOGLE_COMPUTE_CUSTOM_ENDPOINT"
_SCOPE = "https://www.googleapis.com/auth/compute.readonly"
_NETWORK = re.compile(r"(?:https://[^/]+/compute/v1/)?(?:projects/(?P<project>[^/]+)/)?(?:global/networks/)?(?P<name>[^/]+)")


def read(settings: Settings, given: Given, provider: Mapping[str, str]) -> Reading:
    """The stack's groups and their rules, as ``kubeports.clouds`` says."""
    require_client("gcp", "googleapiclient")
    with warnings.catch_warnings():
        # google.api_core, of a Python whose end is near.
        warnings.filterwarnings("ignore", category=FutureWarning)
        return _read(settings, given, provider)


def _read(settings: Settings, given: Given, provider: Mapping[str, str]) -> Reading:
    import google.auth
    import google_auth_httplib2
    import httplib2
    from google.api_core.client_options import ClientOptions
    from googleapiclient.discovery import build
    from googleapiclient.errors import HttpError

    with _errors():
        match = _NETWORK.fullmatch(str(settings.network))
        if match is None:
            raise UnreadableError(
                f"GCP: {settings.network} is not a network", "write its name, or projects/PROJECT/global/networks/NAME"
            )
        credentials, own = google.auth.default(scopes=[_SCOPE])
        said_ = [provider.get("project"), *(os.environ.get(name) for name in _PROJECT)]
        project = match["project"] or next(filter(None, (*said_, own)), None)
        if project is None:
            raise UnreadableError("GCP: no project", "set gcp:project in the stack's file, or GOOGLE_PROJECT")
        endpoint = os.environ.get(_ENDPOINT)
        http = google_auth_httplib2.AuthorizedHttp(credentials, http=httplib2.Http(timeout=TIMEOUT))
        options = ClientOptions(api_endpoint=endpoint) if endpoint else None
        api = build("compute", "v1", http=http, static_discovery=True, cache_discovery=False, client_options=options)
        firewalls: list[dict[str, Any]] = []
        request = api.firewalls().list(project=project)
        while request is not None:
            answer = request.execute(num_retries=2)
            firewalls += answer.get("items", [])
            request = api.firewalls().list_next(request, answer)
        link = f"projects/{project}/global/networks/{match['name']}"
        firewalls = [rule for rule in firewalls if rule["network"].endswith(f"/{link}")]
        groups = _tags(settings, given, firewalls)
        reading = Reading({"firewalls": firewalls, "names": {}}, groups)
        for rule in firewalls:
            reading.warnings += _of_others(rule, bool(settings.account))
        try:
            effective = api.networks().getEffectiveFirewalls(project=project, network=match["name"]).execute(num_retries=2)
        except HttpError as error:
            what = f"{error.status_code}: compute.networks.getEffectiveFirewalls"
            reading.warnings.append(f"whether firewall policies apply to the network is not known ({what})")
        else:
            for policy in effective.get("firewallPolicys", []):
                if policy.get("rules") and policy.get("type") != "SYSTEM":
                    name = policy.get("displayName") or policy.get("shortName") or policy.get("name")
                    kind = "hierarchical" if policy.get("type") == "HIERARCHY" else "network"
                    reading.warnings.append(
                        f"the {kind} firewall policy {name} has rules for the network, too: the audit does not read them"
                    )
    return reading


def _tags(settings: Settings, given: Given, firewalls: Iterable[Mapping[str, Any]]) -> Groups:
    """The stack's network tags; an error where no firewall rule of the network has any of them."""
    named = named_groups(settings, given)
    found = {target: named.get(target, (f"{settings.cluster}-{target}",)) for target in settings.targets}
    tags = {tag for ids in found.values() for tag in ids}
    if not any(tags & {*rule.get("targetTags", ()), *rule.get("targetServiceAccounts", ())} for rule in firewalls):
        what = f"no firewall rule of the network {settings.network} is for the network tag {' or '.join(sorted(tags))}"
        raise absent(what, "project and network", "a network tag")
    return Groups(found)


def _of_others(rule: Mapping[str, Any], by_account: bool) -> list[str]:
    """A warning for a rule whose targets are of the other kind than the nodes': it may be for them, too."""
    others = rule.get("targetTags" if by_account else "targetServiceAccounts")
    if not others or rule.get("disabled"):
        return []
    known = "service account does not" if by_account else "tags don't"
    return [f"{rule['name']} is for instances of {', '.join(others)}: whether the nodes are, their {known} say"]


@contextmanager
def _errors() -> Iterator[None]:
    import httplib2
    from google.auth import exceptions as auth
    from googleapiclient.errors import HttpError

    try:
        yield
    except (auth.DefaultCredentialsError, auth.RefreshError) as error:
        right = "gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS"
        raise UnreadableError(f"GCP: no credentials ({short(error)})", right) from None
    except HttpError as error:
        said_ = f"GCP: the Compute API answers {error.status_code} ({short(Exception(error.reason))})"
        right = {
            401: "renew the credentials: gcloud auth application-default login",
            403: "allow compute.firewalls.list in the project (roles/compute.viewer has it), and enable its Compute Engine API",
            404: "check the project (gcp:project)",
        }.get(error.status_code, "try again")
        raise UnreadableError(said_, right) from None
    except (auth.TransportError, httplib2.HttpLib2Error, OSError) as error:
        raise UnreadableError(f"GCP: no answer ({short(error)})", f"check the network, the proxy and {_ENDPOINT}") from None
