"""The manifests for the Pulumi Kubernetes Operator: what can be checked without its CRD, which no package registry has.

The fields are those of StackSpec in version 2:
https://github.com/pulumi/pulumi-kubernetes-operator/blob/master/operator/api/pulumi/shared/stack_types.go
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from sandbox import tools
from tests.golden import ROOT, STACKS

FOLDER = ROOT / "docs" / "operator"
#: Field -> type. Deprecated ones are left out.
FIELDS: Mapping[str, type] = {
    **dict.fromkeys(("stack", "backend", "secretsProvider", "serviceAccountName", "workspaceReclaimPolicy"), str),
    **dict.fromkeys(("projectRepo", "repoDir", "commit", "branch"), str),
    **dict.fromkeys(("config", "secretsRef", "envRefs", "gitAuth", "fluxSource", "programRef", "workspaceTemplate"), dict),
    **dict.fromkeys(("targets", "prerequisites"), list),
    **dict.fromkeys(("targetDependents", "continueResyncOnCommitMatch", "refresh", "expectNoRefreshChanges", "shallow"), bool),
    **dict.fromkeys(("destroyOnFinalize", "retryOnUpdateConflict", "useLocalStackOnly"), bool),
    "resyncFrequencySeconds": int,
}
#: What a reference to a value names, by its type.
REFERENCES = {"Secret": ("secret", {"name", "key"}), "Literal": ("literal", {"value"})}
LONGEST_NAME = 42
SECRET = re.compile("PASS|SECRET|TOKEN|KEY")


def objects() -> list[dict[str, Any]]:
    texts = [path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.yaml"))]
    return [each for text in texts for each in yaml.safe_load_all(text)]


def of(kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in objects() if each["kind"] == kind}


STACK_OBJECTS = of("Stack")


def problems(stack: Mapping[str, Any]) -> Iterator[str]:
    """What the operator would refuse in a Stack."""
    spec = stack["spec"]
    if stack["apiVersion"] != "pulumi.com/v1" or len(stack["metadata"]["name"]) > LONGEST_NAME:
        yield "apiVersion or name"
    for field, value in spec.items():
        if field not in FIELDS:
            yield f"{field}: no field of a Stack"
        elif type(value) is not FIELDS[field]:
            yield f"{field}: must be {FIELDS[field].__name__}"
    if "stack" not in spec:
        yield "stack: required"
    if ("branch" in spec) == ("commit" in spec):
        yield "branch, commit: one of them"
    for name, reference in (*spec.get("envRefs", {}).items(), *spec.get("gitAuth", {}).items()):
        key, fields = REFERENCES.get(reference.get("type"), ("", set()))
        if set(reference) != {"type", key} or set(reference[key]) != fields:
            yield f"{name}: no reference"


@pytest.mark.parametrize("name", STACK_OBJECTS)
def test_a_stack_has_fields_that_the_operator_knows(name: str) -> None:
    assert list(problems(STACK_OBJECTS[name])) == []


def test_what_the_operator_would_refuse_is_found() -> None:
    spec = {
        "refersh": True,
        "refresh": "yes",
        "branch": "main",
        "commit": "0",
        "envRefs": {"A": {"type": "Secret", "literal": {}}},
    }
    assert list(problems({"apiVersion": "pulumi.com/v1", "metadata": {"name": "x"}, "spec": spec})) == [
        "refersh: no field of a Stack",
        "refresh: must be bool",
        "stack: required",
        "branch, commit: one of them",
        "A: no reference",
    ]


@pytest.mark.parametrize("name", STACK_OBJECTS)
def test_a_stack_is_an_environment_of_this_repository(name: str) -> None:
    stack = STACK_OBJECTS[name]
    spec = stack["spec"]
    assert spec["stack"] == name and name in STACKS
    assert spec["serviceAccountName"] in of("ServiceAccount") and stack["metadata"]["namespace"] in of("Namespace")
    assert {each["name"] for each in spec.get("prerequisites", ())} <= set(STACK_OBJECTS)
    assert spec["workspaceTemplate"]["spec"]["image"] == f"pulumi/pulumi:{tools.ENGINE.removeprefix('v')}-nonroot"


@pytest.mark.parametrize("name", STACK_OBJECTS)
def test_no_secret_is_written_down_and_no_firewall_goes_with_its_object(name: str) -> None:
    spec = STACK_OBJECTS[name]["spec"]
    assert spec["destroyOnFinalize"] is False
    assert "@" not in spec["backend"] or ":" not in spec["backend"].partition("//")[2].partition("@")[0]
    assert [key for key, reference in spec["envRefs"].items() if SECRET.search(key) and reference["type"] != "Secret"] == []


def test_the_account_may_be_asked_by_the_operator() -> None:
    (binding,) = of("ClusterRoleBinding").values()
    assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator"}
    assert [(each["name"], each["namespace"]) for each in binding["subjects"]] == [("kubeports", "kubeports")]
