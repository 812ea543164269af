"""Values in messages and suggestions stand as YAML has them in a line, so that they can be pasted into a stack file."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from kubeports.errors import flow, show

_WORDS = ["1e3", "0x1f", "1_000", "12:30", "2001-01-01", "yes", "~", "=", "<<", "-", "- a", "a: b", "a #b", "1.5", "+1", ".inf"]
_WORDS += ["_1", "0b1", "1E5", "NO", " a", "a ", "190:20:30", "@office", "::/0", "10.0.0.0/8", "it's", '"', "a\\b", "\x7f", "\n"]
_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from(_WORDS),
    st.from_regex(r"[0-9+_.eExX-]{1,8}", fullmatch=True),
)
_KEYS = st.one_of(st.sampled_from(_WORDS), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9))
VALUES = st.recursive(
    _LEAVES, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_KEYS, inner, max_size=3)), max_leaves=8
)


@given(VALUES)
def test_what_is_written_is_read_as_the_same(value: Any) -> None:
    assert yaml.safe_load(f"k: [{flow(value)}]") == {"k": [value]}
    assert yaml.safe_load(f"k: {flow([value])}") == {"k": [value]}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"protocol": "tcp", "start": 25, "to": ["0.0.0.0/0", "::/0"]}, '{protocol: tcp, start: 25, to: [0.0.0.0/0, "::/0"]}'),
        ({"control-plane": ["etcd"]}, "{control-plane: [etcd]}"),
        (True, "true"),
        (None, "null"),
        ("a: b", "'a: b'"),
    ],
)
def test_a_message_shows_a_value_as_yaml_has_it(value: Any, text: str) -> None:
    assert show(value) == text


def test_a_value_that_is_nested_deeply_is_cut() -> None:
    value: list[Any] = []
    for _ in range(5000):
        value = [value]
    assert "…" in show(value)
