"""docs/messages.md: every message of the package, read from its source, so that a reviewer reads them in one go."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.golden import ROOT

PAGE = ROOT / "docs" / "messages.md"
PACKAGE = ROOT / "components" / "kubeports"
#: Functions and classes that make a message of their texts: place, problem, remedy; or a whole sentence.
MAKERS = {"bad", "Problem", "Finding", "Closed", "echo", "warn"}
HEAD = """# Messages

Every error, warning and finding that the package's source has, by module. `{...}` is filled in when the message is shown.
An error of input is shown as PLACE: problem. Fix: remedy. `make docs` writes this page.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for path in sorted(PACKAGE.rglob("*.py")):
        found = list(dict.fromkeys(messages(path.read_text(encoding="utf-8"))))
        if found:
            name = path.relative_to(PACKAGE.parent).as_posix()
            parts.append("\n".join([f"\n## `{name}`\n", "```text", *found, "```", ""]))
    return "".join(parts)


def messages(source: str) -> Iterator[str]:
    """The messages of a module, in its order."""
    tree = ast.parse(source)
    for scope in _scopes(tree):
        local = _assigned(scope)
        for node in _own(scope):
            if isinstance(node, ast.Call) and _makes(node):
                texts = [_text(each, local) for each in [*node.args, *(each.value for each in node.keywords)]]
                if any(text is not None for text in texts):
                    yield " | ".join(ast.unparse(arg) if text is None else text for arg, text in _pairs(node, texts))
            elif isinstance(node, ast.AugAssign) and _is_warnings(node.target):
                added = node.value.elts if isinstance(node.value, ast.List) else [getattr(node.value, "elt", node.value)]
                yield from (text for each in added if (text := _text(each, local)))


def _scopes(tree: ast.Module) -> Iterator[ast.AST]:
    yield tree
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    yield from sorted(functions, key=lambda node: node.lineno)


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """A scope's nodes, without those of the functions in it, in the order of the source."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
            yield from _own(child)


def _makes(call: ast.Call) -> bool:
    """Whether a call makes a message: a maker, an error's class, or a list of warnings or problems that takes one more."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id if isinstance(call.func, ast.Name) else ""
    if name in ("append", "extend", "add"):
        return isinstance(call.func, ast.Attribute) and _is_warnings(call.func.value)
    if name == "echo":
        return any(each.arg == "err" for each in call.keywords)
    return name in MAKERS or name.endswith("Error") or name in ("UsageError", "BadParameter")


def _is_warnings(node: ast.AST) -> bool:
    return ast.unparse(node).rpartition(".")[2] in ("warnings", "problems")


def _assigned(scope: ast.AST) -> dict[str, list[ast.expr]]:
    """Local name -> the texts that a scope gives it."""
    found: dict[str, list[ast.expr]] = {}
    for node in _own(scope):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                names = target.elts if isinstance(target, ast.Tuple) else [target]
                values = node.value.elts if isinstance(node.value, ast.Tuple) and len(names) > 1 else [node.value] * len(names)
                for name, value in zip(names, values, strict=False):
                    if isinstance(name, ast.Name):
                        found.setdefault(name.id, []).append(value)
    return found


def _text(node: ast.AST, local: dict[str, list[ast.expr]]) -> str | None:
    """The text that an expression makes, as far as its source has it; None where it has none."""
    if isinstance(node, ast.Constant):
        return re.sub(r"\s+", " ", node.value) if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        parts = (str(each.value) if isinstance(each, ast.Constant) else _hole(each, local) for each in node.values)
        return re.sub(r"\s+", " ", "".join(parts))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        left, right = _text(node.left, local), _text(node.right, local)
        if left is None and right is None:
            return None
        return (left if left is not None else _brace(node.left)) + (right if right is not None else _brace(node.right))
    if isinstance(node, ast.IfExp):
        either, other = _text(node.body, local), _text(node.orelse, local)
        return None if either is None and other is None else f"{either or _brace(node.body)} / {other or _brace(node.orelse)}"
    if isinstance(node, ast.Name) and node.id in local:
        found = [text for each in local[node.id] if (text := _text(each, {})) is not None]
        return " / ".join(dict.fromkeys(found)) if found else None
    return None


def _hole(node: ast.AST, local: dict[str, list[ast.expr]]) -> str:
    assert isinstance(node, ast.FormattedValue)
    text = _text(node.value, local)
    return text if text is not None and " " in text else _brace(node.value)


def _brace(node: ast.AST) -> str:
    return "{" + ast.unparse(node) + "}"


def _pairs(call: ast.Call, texts: list[str | None]) -> Iterator[tuple[ast.expr, str | None]]:
    """The arguments that are words of a message: all of a maker's, without flags such as ``err=True``."""
    values = [*call.args, *(each.value for each in call.keywords)]
    named = [None] * len(call.args) + [each.arg for each in call.keywords]
    for value, text, name in zip(values, texts, named, strict=True):
        if name not in ("err", "nl", "fg", "key") and not (isinstance(value, ast.Constant) and text is None):
            yield value, text


def write(path: Path = PAGE) -> None:
    """Write the page anew."""
    path.write_text(page(), encoding="utf-8")
