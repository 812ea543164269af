"""Add the states of this version: python -m tests.states. Those of an earlier release are never made anew."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from sandbox.cloud import CLOUDS
from sandbox.clouds import cloud
from sandbox.processes import interrupt_on_signals, swept
from sandbox.run import Project, copy
from tests.engine.test_life import own_group
from tests.engine.test_walk import external
from tests.states import HERE, VERSION, State, tidied, variants


def main() -> int:
    """Write the states; 2 where they are there."""
    folder = HERE / VERSION
    if folder.exists():
        print(f"error: tests/states/{VERSION} is there; if {VERSION} is not released yet, remove it first", file=sys.stderr)
        return 2
    with swept("kubeports-states-") as temporary:
        texts = {state: text for name in CLOUDS for state, text in made(name, temporary / name).items()}
    folder.mkdir()
    for state, (export, settings) in texts.items():
        state.export.write_text(export, encoding="utf-8")
        state.settings.write_text(settings, encoding="utf-8")
        print(f"tests/states/{state}")
    return 0


def made(name: str, folder: Path) -> dict[State, tuple[str, str]]:
    """The states of a cloud: export and stack file."""
    found = {}
    with cloud(name) as here, external(here) as refs, own_group(here) as group:
        for variant, changes in variants(name, refs, group).items():
            state = State(VERSION, f"{name}-{variant}")
            project = Project(copy(folder / variant), here.env, folder / "state")
            config = {"cloud": name, "cluster": variant, **here.settings, **changes}
            text = yaml.safe_dump({"config": {f"kubeports:{key}": value for key, value in config.items()}}, sort_keys=False)
            (project.folder / "stacks" / state.settings.name).write_text(text, encoding="utf-8")
            done = project.up(state.stack)
            if not done.ok:
                raise SystemExit(f"error: pulumi up of {state} failed:\n{done.output}")
            found[state] = tidied(project.command("stack", "export", "-s", state.stack).stdout, text)
            project.destroy(state.stack)
    return found


if __name__ == "__main__":
    interrupt_on_signals()
    sys.exit(main())
