"""The column ``when``: what it says, what it refuses, and what lacks."""

from __future__ import annotations

import pytest
from kubeports import conditions
from kubeports.errors import InputError

CALICO = {"cni": ("calico",), "calico": ("ipip",)}
CILIUM = {"cni": ("cilium",), "cilium": ("native",)}


def unmet(text: str, chosen: conditions.Chosen, enabled: bool = False) -> str:
    lacks = conditions.read(text).unmet(chosen, enabled)
    return "open" if lacks is None else " ".join(map(str, lacks))


@pytest.mark.parametrize(
    ("text", "chosen", "enabled", "right"),
    [
        ("always", {}, False, "open"),
        ("offline", {}, False, "offline"),
        ("offline", {"offline": ("true",)}, False, "open"),
        ("opt-in", {}, False, "opt-in"),
        ("opt-in", {}, True, "open"),
        ("calico: ipip classic", CALICO, False, "open"),
        ("calico: vxlan", CALICO, False, "calico: vxlan"),
        ("calico: vxlan", CALICO | {"calico": ("ipip", "vxlan")}, False, "open"),
        ("cni: cilium flannel", CILIUM, False, "open"),
        ("opt-in cni: cilium", CILIUM, False, "opt-in"),
        ("opt-in cni: cilium", CALICO, True, "cni: cilium"),
        ("opt-in or cni: cilium", CALICO, False, "opt-in"),
        ("opt-in or cni: cilium", CILIUM, False, "open"),
        ("calico: bgp or cilium: native", CILIUM, False, "open"),
    ],
)
def test_a_condition_holds_or_says_what_lacks(text: str, chosen: conditions.Chosen, enabled: bool, right: str) -> None:
    assert unmet(text, chosen, enabled) == right


def test_the_alternative_of_the_cni_in_use_is_the_nearest() -> None:
    text = "calico: bgp or cilium: native or flannel: host-gw"
    assert unmet(text, {"cni": ("cilium",), "cilium": ("vxlan",)}) == "cilium: native"
    assert unmet(text, CALICO) == "calico: bgp"


def test_a_row_is_for_some_tables_alone() -> None:
    when = conditions.read("table: kubesphere cni: none or table: k3s opt-in")
    assert str(when.within("kubesphere")) == "cni: none"
    assert str(when.within("k3s")) == "opt-in"
    assert when.within("rke2") is None


def test_rows_of_two_cnis_are_never_open_together() -> None:
    assert not conditions.read("cilium: vxlan").meets(conditions.read("cni: flannel"))
    assert conditions.read("cni: cilium").meets(conditions.read("opt-in or cni: cilium"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sometimes",
        "calico:",
        "calico: ip-ip",
        "cni: weave",
        "weave: yes",
        "always offline",
        "cni: cilium cni: flannel",
        "a or ",
    ],
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^here: "):
        conditions.check(text, "here")


@pytest.mark.parametrize("text", ["always", "opt-in", "calico: ipip classic", "calico: bgp or opt-in cni: none"])
def test_a_condition_is_written_as_it_is_read(text: str) -> None:
    assert str(conditions.check(text, "here")) == text
