"""Security groups of OpenStack, by openstacksdk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from kubeports.clouds.reading import (
    TIMEOUT,
    Given,
    Reading,
    UnreadableError,
    carried_too,
    choose,
    named_groups,
    require_client,
    short,
)
from kubeports.settings import Settings


def read(settings: Settings, given: Given, provider: Mapping[str, str]) -> Reading:
    """The stack's groups and their rules, as ``kubeports.clouds`` says."""
    require_client("openstack", "openstack")
    import openstack

    with _errors():
        # The timeout is for an API that does not answer; the SDK retries other failures.
        cloud = openstack.connect(cloud=provider.get("cloud"), region_name=provider.get("region"), api_timeout=TIMEOUT)
        with cloud:
            all_of = partial(_pages, cloud.network)
            found: dict[str, dict[str, Any]] = {}
            named = named_groups(settings, given)
            open_targets = [target for target in settings.targets if target not in named]
            if open_targets:
                names = [f"{settings.cluster}-{target}" for target in open_targets]
                # An administrator sees the groups of all projects.
                for group in all_of("/security-groups", name=names, project_id=cloud.current_project_id):
                    found[group["id"]] = group
            ids = [id for each in named.values() for id in each]
            for group in all_of("/security-groups", id=ids) if ids else ():
                found[group["id"]] = group
            groups = choose(
                settings,
                given,
                found,
                lambda target, group: bool(group["name"] == f"{settings.cluster}-{target}"),
                "cloud and project",
                f"called {settings.cluster}-nodes in this project",
            )
            rules = all_of("/security-group-rules", security_group_id=list(groups.ids))
            others = {rule["remote_group_id"] for rule in rules if rule["remote_group_id"]} - set(found)
            more = all_of("/security-groups", id=sorted(others)) if others else []
            lists = sorted({rule["remote_address_group_id"] for rule in rules if rule.get("remote_address_group_id")})
            held = all_of("/address-groups", id=lists) if lists else []
            titles = {group["id"]: group["name"] for group in (*found.values(), *more)}
            raw = {"groups": list(found.values()), "rules": rules, "address_groups": held, "names": titles}
            reading = Reading(raw, groups)
            for id in sorted(set(lists) - {each["id"] for each in held}):
                reading.warnings.append(f"the address group {id} can't be read: its networks are unknown")
            ports = [
                port
                for port in all_of("/ports", security_groups=list(groups.ids))
                if set(port["security_groups"]) & set(groups.ids)
            ]
            extra = sorted({id for port in ports for id in port["security_groups"]} - set(groups.ids))
            titles = {group["id"]: group["name"] for group in (all_of("/security-groups", id=extra) if extra else ())}
            reading.warnings += carried_too(groups, [port["security_groups"] for port in ports], titles, "ports")
    return reading


def _pages(network: Any, path: str, **query: Any) -> list[dict[str, Any]]:
    """All items of a collection: https://docs.openstack.org/api-ref/network/v2/#pagination."""
    from openstack.exceptions import raise_from_response

    items: list[dict[str, Any]] = []
    name = path.strip("/").replace("-", "_")
    url: str | None = path
    while url is not None:
        response = network.get(url, params=query if url == path else None)
        raise_from_response(response)
        answer = response.json()
        items += answer[name]
        links = answer.get(f"{name}_links", [])
        url = next((link["href"] for link in links if link["rel"] == "next"), None)
    return items


@contextmanager
def _errors() -> Iterator[None]:
    from keystoneauth1 import exceptions as keystone
    from openstack import exceptions as stack

    try:
        yield
    except (keystone.MissingRequiredOptions, keystone.MissingAuthPlugin, stack.ConfigException, keystone.OptionError) as error:
        right = "set OS_CLOUD (with a clouds.yaml) or OS_AUTH_URL and its like, or openstack:cloud in the stack's file"
        raise UnreadableError(f"OpenStack: no credentials ({short(error)})", right) from None
    except (keystone.Unauthorized, keystone.NoMatchingPlugin) as error:
        raise UnreadableError(f"OpenStack: Keystone refuses the credentials ({short(error)})", "renew them") from None
    except (keystone.Forbidden, stack.ForbiddenException) as error:
        right = "ask for the role reader in the project"
        raise UnreadableError(f"OpenStack: not allowed ({short(error)})", right) from None
    except (keystone.EndpointNotFound, keystone.CatalogException) as error:
        raise UnreadableError(f"OpenStack: no Neutron in the catalogue ({short(error)})", "check the region") from None
    except (keystone.ClientException, stack.SDKException, OSError) as error:
        raise UnreadableError(f"OpenStack: no answer ({short(error)})", "check the network and OS_AUTH_URL") from None
