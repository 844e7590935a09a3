"""The supervisor: what dies comes back, and nothing outlives it, however it ends."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from config.stack.engine_processes import PROJECT, python
from config.stack.processes import Command, Output
from config.stack.supervisor import Child, Log, Supervisor
from tests.waiting import wait_until

RUN_FOR_EVER = "import time\nwhile True: time.sleep(60)"
IGNORE_SIGTERM = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{RUN_FOR_EVER}"


@pytest.fixture
def lines() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def supervisor(lines: io.StringIO) -> Iterator[Supervisor]:
    supervisor = Supervisor(log=Log(lines))
    yield supervisor
    supervisor.stop()


def child(name: str, code: str, *, stage: int = 0, stop_timeout_s: float = 5.0) -> Child:
    command = python("-c", code, env=dict(os.environ))
    return Child(name=name, command=command, stage=stage, stop_timeout_s=stop_timeout_s)


class InterruptedCommand(Command):
    """Ctrl-C comes when the process has just begun, before whoever starts it knows its number."""

    def spawn(self, *, output: Output) -> subprocess.Popen[bytes]:
        process = super().spawn(output=output)
        os.kill(os.getpid(), signal.SIGINT)
        return process


def interrupted(child: Child) -> Child:
    command = child.command
    return replace(
        child, command=InterruptedCommand(argv=command.argv, env=command.env, cwd=command.cwd)
    )


def lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_lines_carry_the_name_of_their_process(supervisor: Supervisor, lines: io.StringIO) -> None:
    supervisor.start(child("speaker", f"print('hello')\n{RUN_FOR_EVER}"))
    wait_until(lambda: "speaker  | hello\n" in lines.getvalue())


def test_a_killed_process_is_restarted_and_said_so(
    supervisor: Supervisor, lines: io.StringIO
) -> None:
    supervisor.start(child("sleeper", RUN_FOR_EVER))
    first = supervisor.pids["sleeper"]
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: supervisor.pids["sleeper"] != first)
    wait_until(lambda: "sleeper restarted (pid" in lines.getvalue())
    assert "sleeper was killed by SIGKILL; restarting it in 0.5 s" in lines.getvalue()


def test_a_process_that_keeps_dying_is_restarted_ever_more_slowly(
    supervisor: Supervisor, lines: io.StringIO
) -> None:
    supervisor.start(child("crasher", "raise SystemExit(3)"))
    wait_until(lambda: "restarting it in 2 s" in lines.getvalue(), timeout_s=30)
    said = [line for line in lines.getvalue().splitlines() if "exited with code 3" in line]
    assert [line.split()[-2] for line in said] == ["0.5", "1", "2"]


def test_a_higher_stage_is_gone_before_a_lower_one_is_asked_to_stop(
    supervisor: Supervisor, lines: io.StringIO
) -> None:
    farewell = (
        "import signal, sys, time\n"
        "def stop(*_): time.sleep({delay}); print('stopped'); sys.exit()\n"
        "signal.signal(signal.SIGTERM, stop); print('running')\n"
        "while True: time.sleep(60)"
    )
    for stage, (name, delay) in enumerate([("server", 0), ("client", 0.3)]):
        supervisor.start(child(name, farewell.format(delay=delay), stage=stage))
    wait_until(lambda: lines.getvalue().count("running") == 2)
    supervisor.stop()
    ends = [line.split()[0] for line in lines.getvalue().splitlines() if "stopped" in line]
    assert ends == ["client", "server"]


def test_a_process_that_will_not_stop_is_killed(supervisor: Supervisor, lines: io.StringIO) -> None:
    supervisor.start(child("stubborn", "print('up')\n" + IGNORE_SIGTERM, stop_timeout_s=0.5))
    pid = supervisor.pids["stubborn"]
    wait_until(lambda: "up" in lines.getvalue())
    started_at = time.monotonic()
    supervisor.stop()
    assert not lives(pid)
    assert time.monotonic() - started_at < 5


def test_a_process_that_its_child_started_ends_with_it(
    supervisor: Supervisor, lines: io.StringIO
) -> None:
    starts_another = (
        "import subprocess, sys\n"
        f"grandchild = subprocess.Popen([sys.executable, '-c', {IGNORE_SIGTERM!r}])\n"
        f"print('grandchild', grandchild.pid)\n{RUN_FOR_EVER}"
    )
    supervisor.start(child("parent", starts_another))
    wait_until(lambda: "grandchild" in lines.getvalue())
    grandchild = int(lines.getvalue().split()[-1])
    supervisor.stop()
    wait_until(lambda: not lives(grandchild))


@pytest.mark.parametrize(
    "start",
    [
        lambda supervisor, child: supervisor.run_once(name=child.name, command=child.command),
        lambda supervisor, child: supervisor.start(child),
    ],
    ids=["run once", "kept running"],
)
def test_an_interrupt_while_a_process_starts_does_not_lose_it(
    supervisor: Supervisor, start: Callable[[Supervisor, Child], object]
) -> None:
    others = set(psutil.Process().children())

    with pytest.raises(KeyboardInterrupt):
        start(supervisor, interrupted(child("sleeper", RUN_FOR_EVER)))
    supervisor.stop()

    assert not set(psutil.Process().children()) - others


def test_what_nobody_listens_to_a_child_ignores_too(
    supervisor: Supervisor, lines: io.StringIO
) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    asks = child("child", "import signal; print(signal.getsignal(signal.SIGHUP).name)")
    try:
        assert supervisor.run_once(name=asks.name, command=asks.command) == 0
    finally:
        signal.signal(signal.SIGHUP, before)

    assert "child    | SIG_IGN\n" in lines.getvalue()


def test_nothing_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "supervise.py"
    script.write_text(
        "import os, sys, time\n"
        "from tests.test_supervisor import *\n"
        "supervisor = Supervisor(log=Log(sys.stderr))\n"
        "supervisor.start(child('sleeper', RUN_FOR_EVER))\n"
        "print(supervisor.pids['sleeper'], flush=True)\n"
        "time.sleep(60)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(PROJECT)}
    owner = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, env=env)
    try:
        assert owner.stdout
        pid = int(owner.stdout.readline())
        guards = psutil.Process(owner.pid).children()
        owner.kill()
        wait_until(lambda: not any(lives(pid) for pid in (pid, *(g.pid for g in guards))))
    finally:
        owner.kill()
        owner.wait()


def test_a_log_whose_reader_has_gone_stops_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    log = Log(os.fdopen(writing, "w", closefd=False))
    log.line("web", "nobody reads this")
    log.line("web", "nor this")
    os.close(writing)
