"""Stack files as the engine reads them, without the engine.

Pulumi reads ``Pulumi.<stack>.yaml`` with Go's yaml.v3, for which ``yes`` and ``1:30`` are text and a repeated key is an error.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from copy import deepcopy
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from kubeports import files
from kubeports.errors import Problems, bad, show, suggest
from kubeports.settings import KEYS

#: The namespace of the settings in Pulumi config.
NAMESPACE = "kubeports"
PROJECT = "Pulumi.yaml"
_RIGHT = "name a YAML file in UTF-8"
_DEEPEST, _MOST = 50, 1_000_000  # values within values, and values, that a file may have


class _Loader(yaml.SafeLoader):
    """YAML 1.2's plain values: no ``yes``, no sexagesimal and no octal numbers, no dates; no repeated keys, no tags."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "tag", None) is not None:
            raise yaml.constructor.ConstructorError(None, None, "a tag decides the type of a value", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(None, None, "a key is not a plain value", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("tag:yaml.org,2002:int", r"-?(0|[1-9][0-9]*)", "-0123456789"),
    ("tag:yaml.org,2002:float", r"-?[0-9]+(\.[0-9]+([eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)", "-0123456789"),
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern})$"), list(_first))


def load(path: Path, several: bool = False) -> Any:
    """The content of a YAML file.

    Args:
        path: of the file.
        several: it may have several documents, and a list of them is the answer.

    Raises:
        InputError: it can't be read, is not YAML, or repeats a key; with the line.
    """
    name = str(path)
    data = files.content(path, name, _RIGHT)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise bad(name, f"is not text in UTF-8 ({error.reason} at byte {error.start})", _RIGHT) from None
    return parse(text, name, several)


def parse(text: str, name: str, several: bool = False) -> Any:
    """The content of YAML text; of several documents where these may be, a list.

    Raises:
        InputError: it is not YAML, or repeats a key; with the line.
    """
    try:
        return deepcopy(_parsed(text, several))
    except yaml.MarkedYAMLError as error:
        line = f": line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise bad(name + line, f"is not YAML as Pulumi reads it ({error.problem})", _mended(error, text)) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise bad(name, f"is not YAML as Pulumi reads it ({str(error).splitlines()[0]})", "fix the syntax") from None


@lru_cache(maxsize=8)
def _parsed(text: str, several: bool) -> Any:
    """The content of YAML text; a command asks for the project's file several times."""
    content = list(yaml.load_all(text, _Loader)) if several else yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    _measure(content)
    return content


def _mended(error: yaml.MarkedYAMLError, text: str) -> str:
    """The fix of what people often write that is not YAML: a name that starts with @, tabs, a colon without a space."""
    mark = error.problem_mark
    lines = ["", *text.splitlines(), ""]
    before, line = lines[mark.line : mark.line + 2] if mark else ("", "")
    rest = line[mark.column :] if mark else ""
    if found := re.match(r"[@`%][\w.-]*", rest):
        return f"put it in quotes: '{found[0]}'"
    if "\t" in line[: mark.column + 1 if mark else None]:
        return "indent with spaces"
    if "stands twice" in str(error.problem):
        return "remove one of the two"
    if "a tag decides" in str(error.problem):
        return "remove the tag"
    if joined := next((each for each in (line, before) if re.fullmatch(r"\s*[\w.-]+(:[\w.-]+)+", each)), None):
        return f"write a space after the colon: {': '.join(joined.strip().rsplit(':', 1))}"
    return "write key: value, lists as [a, b], and quotes around values with : or @"


def _measure(content: Any) -> None:
    """Refuse what aliases have made endless: a value within itself, or billions of values in a few lines."""
    left, number = [(content, 0)], 0
    while left:
        value, depth = left.pop()
        number += 1
        if depth > _DEEPEST or number > _MOST:
            raise ValueError("its values are nested too deeply, or too many")
        items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
        left += [(item, depth + 1) for item in items]


def project(folder: Path) -> Path | None:
    """The nearest ``Pulumi.yaml`` in a folder or above it, as the engine looks for it."""
    for each in (folder, *folder.parents):
        if (each / PROJECT).is_file():
            return each / PROJECT
    return None


def folders(file: Path, project_file: Path | None = None) -> tuple[Path, ...]:
    """Where a custom table of a stack file may be: beside the file, and in the project that it belongs to.

    Args:
        file: the stack file.
        project_file: the project's ``Pulumi.yaml``; None: the nearest one.
    """
    folder = file.resolve().parent
    found = project_file or project(folder)
    return (folder, *([found.parent] if found is not None else []))


def file_of(stack: str, folder: Path) -> tuple[Path, Path]:
    """The file of a stack of the project that a folder is in, and the project's file.

    Args:
        stack: its name; ``organization/project/stack`` counts too.
        folder: where the look for Pulumi.yaml begins.
    """
    found, _ = _home(folder)
    path = path_of(stack, folder)
    if not path.is_file():
        names = stacks(folder)
        right = suggest(stack.rsplit("/", 1)[-1], names) if names else f"write {_short(path)}"
        if (folder / path.name).is_file():
            right = f"use --file {path.name} in place of -s {stack}"
        raise bad(f"stack {stack}", f"has no file {_short(path)}", right)
    return path, found


def path_of(stack: str, folder: Path) -> Path:
    """Where the file of a stack of the project that a folder is in stands, or would stand."""
    name = stack.rsplit("/", 1)[-1]
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise bad(f"stack {stack}", "is not the name of a stack", "write letters, digits, ., _ and -")
    return _home(folder)[1] / f"Pulumi.{name}.yaml"


def stacks(folder: Path) -> list[str]:
    """The names of the stacks that have a file in the project that a folder is in.

    Raises:
        InputError: there is no project, or its file can't be read.
    """
    return sorted(file.name[len("Pulumi.") : -len(".yaml")] for file in _home(folder)[1].glob("Pulumi.*.yaml"))


def _home(folder: Path) -> tuple[Path, Path]:
    """The project's file, and the folder of its stacks' files."""
    found = project(folder)
    if found is None:
        raise bad(str(folder), f"no {PROJECT} here or above", "go to the project's folder, or use --file")
    content = _content(found)
    where = content.get("stackConfigDir")
    if where is None:
        where = content["config"] if isinstance(content.get("config"), str) else ""
    if not isinstance(where, str):
        raise bad(f"{_short(found)}: stackConfigDir", f"{show(where)} is not a folder", "write a path")
    return found, found.parent / where


def _content(project_file: Path) -> Mapping[Any, Any]:
    """What a project's file says; nothing where it is not a map."""
    content = load(project_file)
    return content if isinstance(content, Mapping) else {}


def of_file(path: Path, project_file: Path | None = None) -> tuple[dict[str, Any], str]:
    """The settings in a stack file, with the project's values and defaults, and what messages call their place."""
    name = _short(path)
    content = load(path)
    config = _config(content, name)
    settings: dict[str, Any] = {}
    problems = Problems()
    for key in content:
        if NAMESPACE in str(key).lower() or _is_near(str(key).partition(":")[0]):
            problems.add(f"{name}: {key}", "is beside config, where it has no effect", "indent it below config:")
    project_file = project_file or project(path.resolve().parent)
    of_project = _content(project_file) if project_file is not None else {}
    for key, value in config.items():
        with problems:
            if not isinstance(key, str) or ":" not in key:
                bare, provider = _bare(key), config.get(f"{NAMESPACE}:cloud")
                namespace = NAMESPACE if bare in KEYS or not isinstance(provider, str) else provider
                raise bad(f"{name}: config", f"{show(key)} has no namespace", f"write {namespace}:{bare}")
            namespace, _, rest = key.partition(":")
            refuse_namespace(key, f"{name}: config", of_project.get("name"))
            if namespace == NAMESPACE:
                _plain(value, f"{name}: {key}")
                settings[rest] = value
    problems.raise_any()
    if project_file is not None:
        settings = _defaults(of_project, _short(project_file)) | settings
    return settings, f"{name}: {NAMESPACE}:"


def provider(path: Path, cloud: str) -> dict[str, str]:
    """What a stack file says to Pulumi's provider of a cloud, as far as it is plain text: ``region``, ``project`` and so on."""
    found = {}
    for key, value in _config(load(path), _short(path)).items():
        namespace, _, name = str(key).partition(":")
        if namespace == cloud and isinstance(value, str) and value:
            found[name] = value
    return found


def unseen(path: Path) -> tuple[str, ...]:
    """Warnings of settings that only the Pulumi engine reads."""
    content = load(path)
    if not isinstance(content, Mapping) or not content.get("environment"):
        return ()
    name = _short(path)
    return (
        f"{name}: environment may set keys of {NAMESPACE}: that {name} does not, and they are not seen here: see pulumi preview",
    )


def refuse_namespace(key: str, where: str, project: object = None) -> None:
    """Refuse a namespace that is nearly ours: Pulumi accepts any, and such a setting would have no effect.

    Args:
        key: namespace and name.
        where: what messages put before it.
        project: the project's name, whose own namespace is valid.
    """
    namespace, _, rest = key.partition(":")
    ours = NAMESPACE in namespace.lower() and rest in KEYS  # kubeports-firewall:offline
    if namespace not in (NAMESPACE, project) and (not namespace.strip() or _is_near(namespace) or ours):
        raise bad(where, f"{show(key)} is in an unknown namespace", f"write {NAMESPACE}:{rest}")


def _is_near(namespace: str) -> bool:
    return bool(get_close_matches(namespace.strip().lower(), [NAMESPACE], cutoff=0.8))


def _bare(key: object) -> str:
    """What was meant by a key without a namespace: ``offline`` of ``kubeports.offline``; KEY, if no key of ours is in it."""
    found = re.search(r"[A-Za-z]+$", key) if isinstance(key, str) else None
    return found[0] if found else "KEY"


def _config(content: Any, name: str) -> Mapping[Any, Any]:
    if not isinstance(content, Mapping):
        raise bad(name, "is not a map" if content is not None else "is empty", "write config: and under it the settings")
    config = content.get("config")
    if not isinstance(config, Mapping):
        what = "is missing" if config is None else "is not a map"
        raise bad(f"{name}: config", what, f"write config: and under it {NAMESPACE}:cloud: …")
    return config


def _defaults(content: Mapping[Any, Any], path: str) -> dict[str, Any]:
    """What Pulumi.yaml gives every stack: ``value`` or ``default`` of the namespace's keys."""
    config = content.get("config")
    found = {}
    for key, declared in config.items() if isinstance(config, Mapping) else ():
        namespace, colon, name = str(key).partition(":")
        if not colon:
            namespace, name = str(content.get("name")), str(key)
        if namespace == NAMESPACE:
            values = declared if isinstance(declared, Mapping) else {"value": declared}
            for each in ("value", "default"):
                if each in values:
                    _plain(values[each], f"{path}: {key}")
                    found[name] = values[each]
                    break
    return found


def _plain(value: Any, where: str) -> None:
    """Refuse what a preview can't read or what says nothing: encrypted values, nulls, floats."""
    if value is None:
        raise bad(where, "is null", "write a value, or leave the key out")
    if isinstance(value, float):
        raise bad(where, f"{value} is not a whole number", "write whole numbers alone")
    if isinstance(value, Mapping):
        if "secure" in value:
            what = "is encrypted (secure:), and the rules must be plain to be previewed"
            raise bad(where, what, f"pulumi config set --plaintext --path '{where.rpartition(' ')[2]}' VALUE")
        for key, item in value.items():
            _plain(item, f"{where}.{key}")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            _plain(item, f"{where}[{i}]")


def _short(path: Path) -> str:
    """A path as people write it: from here, if it is below."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
