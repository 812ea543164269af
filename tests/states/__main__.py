"""Add the states of this version: python -m tests.states. Those of an earlier release are never made anew."""

from __future__ import annotations

from pathlib import Path

import yaml

from sandbox.cloud import CLOUDS
from sandbox.clouds import cloud
from sandbox.command import run
from sandbox.errors import SandboxError
from sandbox.processes import swept
from sandbox.run import Project, copy
from tests.engine.test_life import own_group
from tests.engine.test_walk import external
from tests.states import HERE, VERSION, State, tidied, variants


def main() -> None:
    """Write the states.

    Raises:
        SandboxError: they are there, or an update failed.
    """
    folder = HERE / VERSION
    if folder.exists():
        raise SandboxError(f"tests/states/{VERSION} is there. Fix: rm -r tests/states/{VERSION}, unless {VERSION} is released")
    with swept("kubeports-states-") as temporary:
        texts = {state: text for name in CLOUDS for state, text in made(name, temporary / name).items()}
    folder.mkdir()
    for state, (export, settings) in texts.items():
        state.export.write_text(export, encoding="utf-8")
        state.settings.write_text(settings, encoding="utf-8")
        print(f"tests/states/{state}")


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
                raise SandboxError(f"pulumi up of {state} failed:\n{done.output}")
            found[state] = tidied(project.command("stack", "export", "-s", state.stack).stdout, text)
            project.destroy(state.stack)
    return found


if __name__ == "__main__":
    run(main)
