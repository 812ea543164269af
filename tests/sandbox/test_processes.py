"""Processes are found where they run, and ended with all of their group."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from sandbox.processes import end, processes, started_with, swept
from tests.golden import ROOT

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


#: A program that works in a folder of its own, with a child that does not listen to TERM, and is slow to clean up.
SLOW = f"""
import subprocess, sys, time
from sandbox.processes import interrupt_on_signals, swept
interrupt_on_signals()
try:
    with swept("mine-") as folder:
        subprocess.Popen([sys.executable, "-c", {STUBBORN!r}], cwd=folder, start_new_session=True)
        try:
            print("runs", flush=True)
            time.sleep(60)
        finally:
            time.sleep(0.5)
            print("cleaned", flush=True)
except KeyboardInterrupt:
    print("nothing is left", flush=True)
"""


#: A program that works in a folder of its own until it is killed, with a child that lives on.
KILLED = f"""
import subprocess, sys, time
from sandbox.processes import swept
with swept("mine-") as folder:
    subprocess.Popen([sys.executable, "-c", {WAIT!r}], start_new_session=True)
    print(folder, flush=True)
    time.sleep(600)
"""


def test_what_a_killed_run_left_is_removed_by_the_next_one_and_a_run_that_lives_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = os.environ | {"TMPDIR": str(tmp_path)}
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", KILLED], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        folder = Path(program.stdout.readline().strip())
        with swept("mine-"):
            assert folder.exists() and len(started_with(folder)) == 1
        program.kill()
        program.wait()
    assert folder.exists() and len(started_with(folder)) == 1
    with swept("mine-") as mine:
        assert list(tmp_path.iterdir()) == [mine] and not started_with(folder)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_reaches_what_is_its_own_in_the_folder_of_a_run_and_lists_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not below pytest's own folder, which is root's alone.
    with tempfile.TemporaryDirectory(dir="/tmp") as above:
        os.chmod(above, 0o711)
        monkeypatch.setattr("tempfile.tempdir", above)
        other = pwd.getpwnam("nobody")
        with swept("mine-") as folder:
            (folder / "its").mkdir(mode=0o700)
            os.chown(folder / "its", other.pw_uid, other.pw_gid)
            done = subprocess.run(["touch", folder / "its" / "file"], user=other.pw_uid, group=other.pw_gid, extra_groups=[])
            assert done.returncode == 0
            listed = subprocess.run(["ls", folder], user=other.pw_uid, group=other.pw_gid, extra_groups=[], capture_output=True)
            assert listed.returncode != 0


def test_a_process_that_has_run_operations_ends_in_silence() -> None:
    program = "from sandbox import forked; forked._parent._start()"
    done = subprocess.run([sys.executable, "-X", "dev", "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_signal_interrupts_once_and_nothing_is_left(tmp_path: Path, sign: int) -> None:
    env = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", SLOW], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "runs\n"
        while len(processes(tmp_path)) < 2:
            time.sleep(0.05)
        program.send_signal(sign)
        time.sleep(0.2)
        program.send_signal(signal.SIGTERM)
        out, err = program.communicate()
    assert (out, program.returncode) == ("cleaned\nnothing is left\n", 0)
    assert err.split("\n\n") == ["\ninterrupted; cleaning up", "still cleaning up\n"]
    assert not processes(tmp_path) and not list(tmp_path.iterdir())


def test_a_signal_that_is_ignored_stays_so(tmp_path: Path) -> None:
    program = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    program += "from sandbox.processes import interrupt_on_signals; interrupt_on_signals(); signal.raise_signal(signal.SIGHUP)"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_a_demo_of_no_cloud_is_bad_input() -> None:
    env = os.environ | {"CLOUD": "foo"}
    demo = subprocess.run([sys.executable, "-m", "sandbox.demo"], cwd=ROOT, env=env, capture_output=True, text=True)
    assert (demo.returncode, demo.stderr) == (2, "error: CLOUD=foo: unknown cloud. Fix: write openstack, aws, gcp or all\n")


def test_a_command_that_is_interrupted_while_it_loads_prints_no_trace(tmp_path: Path) -> None:
    (tmp_path / "rich").mkdir()
    (tmp_path / "rich" / "__init__.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    env = os.environ | {"PYTHONPATH": str(tmp_path), "CLOUD": "aws"}
    demo = subprocess.run([sys.executable, "-m", "sandbox.demo"], cwd=ROOT, env=env, capture_output=True, text=True)
    assert (demo.returncode, demo.stderr) == (-signal.SIGINT, "interrupted\n")
