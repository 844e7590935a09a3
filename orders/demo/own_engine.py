"""The whole engine for the length of a demo: servers of its own, in a folder that is gone afterwards."""

import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from config.stack import Stack, StackError
from orders.demo.client import Engine
from orders.demo.order import DemoError
from orders.demo.screen import Screen

# Somebody's databases are no place for a demo's orders.
LEFT_ALONE = ("DATABASE_URL", "CHAIN_DATABASE_URL", "REDIS_URL")
# What keeps a deployment safe behind its host name would refuse a client on this computer. Set,
# not left out: every process reads `.env` anew, which may say otherwise.
ON_THIS_COMPUTER = {"ALLOWED_HOSTS": "127.0.0.1", "HTTPS": "false"}
LOG_POLL_S = 0.05
# Whose log lines tell a person how the start goes on; the others' are for whoever looks for trouble.
TELLING = ("up", "prepare")


@contextmanager
def own_engine(screen: Screen) -> Iterator[Engine]:
    """For a process of its own: changes its environment and what it does when it is asked to stop.

    When anything fails inside, the log is kept, and named in the DemoError.
    """
    # However the demo is asked to stop, the stack is stopped on the way out.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    for variable in LEFT_ALONE:
        os.environ.pop(variable, None)
    os.environ |= ON_THIS_COMPUTER
    descriptor, name = tempfile.mkstemp(prefix="order-engine-demo-", suffix=".log")
    os.close(descriptor)
    log_file = Path(name)
    keep_log = False
    try:
        with tempfile.TemporaryDirectory(
            prefix="order-engine-demo-", ignore_cleanup_errors=True
        ) as folder:
            yield from _run_stack(Path(folder), log_file, screen)
    except (DemoError, StackError) as error:
        keep_log = True
        sentence = str(error)
        where = "" if name in sentence else f" The engine's log is {name}."
        raise DemoError(sentence + where) from None
    except Exception:
        keep_log = True
        raise
    finally:
        if not keep_log:
            log_file.unlink(missing_ok=True)


def _run_stack(folder: Path, log_file: Path, screen: Screen) -> Iterator[Engine]:
    stack = Stack(data_dir=folder, port=0, flower_port=0, quiet=True, log_file=log_file)
    with ExitStack() as undo:
        with screen.working("Starting the engine") as tell, _telling_steps(log_file, tell):
            ready = undo.enter_context(stack)
        try:
            yield Engine(url=ready.url, api_key=ready.api_key)
        finally:
            with screen.working("Stopping everything"):
                undo.close()
            screen.say("Everything is stopped.")


@contextmanager
def _telling_steps(log_file: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """What the stack says of itself in its log, as it says it."""
    done = threading.Event()

    def follow() -> None:
        with log_file.open(encoding="utf-8", errors="replace") as log:
            while not done.wait(LOG_POLL_S):
                for line in log:
                    name, _, step = line.partition("| ")
                    if name.strip() in TELLING:
                        tell(step.strip())

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    try:
        yield
    finally:
        done.set()
        follower.join()
