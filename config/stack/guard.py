"""Outlives a supervisor that was killed, just long enough to stop what it left behind.

The supervisor holds the other end of this process's standard input and writes what it starts and
what has ended; however it dies, the input ends. Preferred to PR_SET_PDEATHSIG, which only Linux
knows, which fires when the *thread* that started a child ends, and which keeps no order. Run by
path, without the project: plain standard library, up in 20 ms.

Lines: `+ STAGE SIGNAL PID` (started), `- PID` (ended). A higher stage is stopped first.
"""

import os
import signal
import sys
import time

PATIENCE_S = 10.0


def main() -> None:
    for interruption in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(interruption, signal.SIG_IGN)
    running: dict[int, tuple[int, int]] = {}
    for line in sys.stdin:
        match line.split():
            case ["+", stage, signal_number, pid]:
                running[int(pid)] = (int(stage), int(signal_number))
            case ["-", pid]:
                running.pop(int(pid), None)
    for stage in sorted({stage for stage, _ in running.values()}, reverse=True):
        stop({pid: number for pid, (its_stage, number) in running.items() if its_stage == stage})


def stop(signals: dict[int, int]) -> None:
    for pid, number in signals.items():
        if group_lives(pid):
            os.kill(pid, number)
    deadline = time.monotonic() + PATIENCE_S
    while any(map(group_lives, signals)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in signals:
        if group_lives(pid):
            os.killpg(pid, signal.SIGKILL)


def group_lives(pid: int) -> bool:
    """Each child leads a group of its own, so the group's number is the child's."""
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    main()
