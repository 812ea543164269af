"""Processes are found where they run, and ended with all of their group."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sandbox.processes import end, processes

WAIT = "import time; time.sleep(600)"
#: A parent that does not listen to TERM, with a child.
STUBBORN = "import signal, subprocess, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
STUBBORN += f"subprocess.run([sys.executable, '-c', '{WAIT}'])"


def test_a_process_is_found_even_where_its_folder_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    with subprocess.Popen([sys.executable, "-c", WAIT], cwd=folder, start_new_session=True) as process:
        assert processes(folder) == [process.pid]
        folder.rmdir()
        assert processes(folder) == [process.pid]
        end([process.pid])
    assert processes(folder) == []


def test_a_group_that_ignores_term_is_killed_with_its_children(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", STUBBORN], cwd=tmp_path, start_new_session=True) as process:
        while len(processes(tmp_path)) < 2:
            assert process.poll() is None
        end([process.pid], patience=1)
    assert processes(tmp_path) == []
