"""`manage.py demo`: with an engine of its own, with a named one, and with sockets that are cut."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.core.management import call_command
from rich.console import Console

from config.stack import Stack
from config.stack.engine_processes import PROJECT
from config.stack.ports import free_port
from config.stack.ready import Ready
from orders.demo.client import Engine, execute
from orders.demo.order import DemoError, DemoOrder, StreamEvent, demo_orders, find_flaw
from orders.demo.screen import Lines, Terminal
from orders.demo.table import shorten
from orders.management.commands.demo import KEY_VARIABLE, run
from tests.cutting_proxy import CuttingProxy
from tests.made_up_engines import answering, streaming

NAMED_BY_THE_TESTS = ("DATABASE_URL", "CHAIN_DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DATA_DIR")
NO_DELAYS = {"MOCK_QUOTE_DELAY_MS": "0", "MOCK_SWAP_DELAY_MS": "0"}
RUN_TIMEOUT_S = 180
EVENT_LINE = re.compile(
    r"^ *\d+\.\d\d s  [0-9a-f]{8}  \w+/\w+ +(pending|routing|building|submitted|confirmed) "
)
LIFE = ["pending", "routing", "building", "submitted", "confirmed"]


def new_users_environment(temporary: Path) -> dict[str, str]:
    """Nothing is named, and whatever is left behind is left in `temporary`."""
    env = {name: value for name, value in os.environ.items() if name not in NAMED_BY_THE_TESTS}
    return env | NO_DELAYS | {"TMPDIR": str(temporary)}


def start_demo(env: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "demo", *arguments],
        cwd=PROJECT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run the command, expect it to give up, and return the one sentence that it said."""
    with pytest.raises(SystemExit) as exit:
        call_command("demo", *arguments)
    assert exit.value.code == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.fixture(scope="module")
def engine() -> Iterator[Ready]:
    """A whole stack without delays, its servers its own."""
    folder = Path(tempfile.mkdtemp(prefix="order-engine-test-"))
    with pytest.MonkeyPatch.context() as patch:
        for variable in NAMED_BY_THE_TESTS:
            patch.delenv(variable, raising=False)
        for variable, value in NO_DELAYS.items():
            patch.setenv(variable, value)
        with Stack(data_dir=folder, port=0, flower_port=0, quiet=True) as ready:
            yield ready
    shutil.rmtree(folder, ignore_errors=True)


# --- an engine of its own ---------------------------------------------------------------------------------------------


def test_it_starts_an_engine_runs_ten_orders_and_leaves_nothing_behind(reachable_dir: Path) -> None:
    demo = start_demo(new_users_environment(reachable_dir))
    out, err = demo.communicate(timeout=RUN_TIMEOUT_S)

    assert demo.returncode == 0, out + err
    assert err == ""
    lines = out.splitlines()
    assert lines[0] == "Starting the engine."
    assert len([line for line in lines if EVENT_LINE.match(line)]) == 10 * len(LIFE)
    assert "Orders   10 confirmed, 0 failed, 0 cancelled" in lines
    assert "Streams  10 of 10 complete: each seq once, in order (50 events, 0 reconnects)" in lines
    assert lines[-1] == "Everything is stopped."
    assert list(reachable_dir.iterdir()) == []


def test_an_interrupt_stops_what_was_started(reachable_dir: Path) -> None:
    demo = start_demo(new_users_environment(reachable_dir))
    assert demo.stdout and demo.stderr
    for line in demo.stdout:
        if "preparing the databases" in line:
            break
    children = psutil.Process(demo.pid).children(recursive=True)
    assert {"postgres", "redis-server"} <= {child.name() for child in children}

    demo.send_signal(signal.SIGINT)
    _, err = demo.communicate(timeout=RUN_TIMEOUT_S)

    assert (demo.returncode, err) == (130, "Interrupted.\n")
    assert not [child for child in children if child.is_running()]
    assert list(reachable_dir.iterdir()) == []


# --- a named engine ---------------------------------------------------------------------------------------------------


def test_a_named_engine_runs_as_many_orders_as_asked_for(
    engine: Ready, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, engine.api_key)
    call_command("demo", "--url", engine.url, "--orders", "13")
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if EVENT_LINE.match(line)]) == 13 * len(LIFE)
    assert "Orders   13 confirmed, 0 failed, 0 cancelled" in lines
    assert [
        line for line in lines if re.fullmatch(r"Elapsed  p50 \d+\.\d\d s, max \d+\.\d\d s", line)
    ]


@pytest.mark.parametrize(("messages", "extra_bytes"), [(1, 0), (2, 0), (2, 7)])
async def test_a_socket_that_is_cut_resumes_and_misses_nothing(
    engine: Ready, messages: int, extra_bytes: int
) -> None:
    orders = demo_orders(4)
    heard: list[tuple[str, int]] = []
    port = int(engine.url.rpartition(":")[2])
    with CuttingProxy(port=port, messages=messages, extra_bytes=extra_bytes) as proxy:
        await execute(
            orders,
            engine=Engine(url=proxy.url, api_key=engine.api_key),
            timeout_s=30,
            on_event=lambda order, event: heard.append((order.order_id, event.seq)),
        )
    for order in orders:
        assert order.flaw == ""
        assert [event.status for event in order.events] == LIFE
        assert [seq for order_id, seq in heard if order_id == order.order_id] == [1, 2, 3, 4, 5]
        assert order.reconnects == (len(LIFE) - 1) // messages
    resumed = range(0, len(LIFE), messages)
    assert sorted(proxy.asked_after) == sorted([*resumed] * len(orders))


def test_a_wrong_key_is_told_in_a_sentence(
    engine: Ready, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = refusal(capsys, "--url", engine.url, "--api-key", "wrong")
    assert sentence == (
        f"The engine at {engine.url} refused an order: This API key is unknown or revoked."
    )


def test_an_engine_that_is_not_there_is_told_in_a_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    sentence = refusal(capsys, "--url", url, "--api-key", "any")
    assert sentence == f"The engine at {url} can't be reached: Connection refused."


def test_a_missing_key_is_told_in_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    sentence = refusal(capsys, "--url", "http://127.0.0.1:8000")
    assert sentence == f"--url needs an API key: give --api-key, or set {KEY_VARIABLE}."


@pytest.mark.parametrize("url", ["engine", "ftp://engine", "http://", "http://engine:port"])
def test_an_address_that_is_none_is_told_in_a_sentence(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = refusal(capsys, "--url", url, "--api-key", "any")
    assert sentence == f"--url must be an address like http://127.0.0.1:8000, not {url!r}."


@pytest.mark.parametrize(
    ("status", "headers", "body", "sentence"),
    [
        (
            429,
            {"Retry-After": "43"},
            '{"code": "RATE_LIMITED", "detail": "Too many orders; try again in 43 s."}',
            "The engine at {url} refused an order: Too many orders; try again in 43 s.",
        ),
        (
            404,
            {},
            "<h1>Nothing here</h1>",
            "What answers at {url} is not an order engine: it said 404 Not Found.",
        ),
        (201, {}, '{"id": 1}', "What answers at {url} is not an order engine."),
        (
            301,
            {"Location": "https://engine.example/api"},
            "",
            "The address {url} leads to https://engine.example/api: "
            "give --url where the engine itself is.",
        ),
    ],
)
def test_what_an_address_answers_is_told_in_a_sentence(
    status: int,
    headers: dict[str, str],
    body: str,
    sentence: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with answering(status, headers, body) as url:
        said = refusal(capsys, "--url", url, "--api-key", "any")
    assert said == sentence.format(url=url)


# --- streams that are not as they should be ---------------------------------------------------------------------------


def ignore(order: DemoOrder, event: StreamEvent) -> None:
    pass


def event(seq: int, status: str, **details: Any) -> dict[str, Any]:
    return {"type": "order.event", "seq": seq, "status": status, "message": "Told.", **details}


@pytest.mark.parametrize(
    ("events", "flaw"),
    [
        ([(1, "pending"), (2, "routing"), (3, "failed")], ""),
        ([(1, "pending"), (3, "failed")], "seq 3 came where 2 was due"),
        ([(2, "routing"), (3, "failed")], "seq 2 came where 1 was due"),
        (
            [(1, "pending"), (2, "routing"), (2, "routing"), (3, "failed")],
            "seq 2 came where 3 was due",
        ),
        ([(2, "routing"), (1, "pending"), (3, "failed")], "seq 2 came where 1 was due"),
        ([(1, "pending"), (2, "cancelled"), (3, "failed")], "seq 3 came after the end"),
        ([(1, "pending"), (2, "cancelled"), (2, "cancelled")], "seq 2 came after the end"),
        ([(1, "pending"), (2, "routing")], "it stopped at seq 2, before the end"),
        ([], "it stopped at seq 0, before the end"),
    ],
)
def test_a_stream_is_complete_or_told_what_is_wrong_with_it(
    events: list[tuple[int, str]], flaw: str
) -> None:
    assert find_flaw([StreamEvent.of(event(seq, status)) for seq, status in events]) == flaw


def test_a_hole_fails_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        streaming([event(1, "pending"), event(3, "confirmed")]) as engine,
        pytest.raises(DemoError, match=r"^1 of 1 streams were not complete\.$"),
    ):
        run(engine, Lines(Console()), count=1, timeout_s=10)
    assert "stream not complete: seq 3 came where 2 was due" in capsys.readouterr().out


def test_an_order_that_does_not_end_in_time_fails_the_demo(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with (
        streaming([event(1, "pending")], stays_open=True) as engine,
        pytest.raises(DemoError, match=r"^2 of 2 orders did not end within 0\.5 s\.$"),
    ):
        run(engine, Lines(Console()), count=2, timeout_s=0.5)
    assert "0 confirmed, 0 failed, 0 cancelled, 2 not ended" in capsys.readouterr().out


def test_an_order_that_fails_is_an_ending_that_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    error = {"code": "NO_ROUTE", "message": "Told.", "retryable": False}
    with streaming([event(1, "pending"), event(2, "failed", error=error)]) as engine:
        run(engine, Lines(Console()), count=1, timeout_s=10)
    out = capsys.readouterr().out
    assert "Orders   0 confirmed, 1 failed, 0 cancelled" in out
    assert "failed: NO_ROUTE. Told." in out


async def test_a_refused_stream_is_not_asked_for_again() -> None:
    (order,) = demo_orders(1)
    problem = {"type": "problem", "code": "NOT_AUTHENTICATED", "detail": "Name your account."}
    with streaming([problem], close_code=4401) as engine:
        await execute([order], engine=engine, timeout_s=10, on_event=ignore)
    assert order.flaw == "the engine refused it: Name your account."
    assert order.reconnects == 0


async def test_a_message_that_can_not_be_read_ends_the_stream() -> None:
    (order,) = demo_orders(1)
    with streaming([{"type": "order.event", "seq": "one"}]) as engine:
        await execute([order], engine=engine, timeout_s=10, on_event=ignore)
    assert order.flaw == "a message came that is none of the stream's"


# --- what is shown ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_its_terminal(width: int) -> None:
    shown = StringIO()
    terminal = Terminal(Console(file=shown, force_terminal=True, width=width, height=40))
    orders = demo_orders(10)
    with terminal.following(orders):
        for order in orders:
            order.order_id, order.started_at = "019aa3f1-0000-7000-8000-0123456789ab", 0.001
            order.hear(StreamEvent.of(event(1, "submitted", selectedDex="raydium+meteora")))
            price = {"executedPrice": "0.0000232866123", "amountOut": "10073.552243"}
            order.hear(StreamEvent.of(event(2, "confirmed", **price)))
            order.ended_at = 59.9
    assert "…" not in shown.getvalue()
    last = shown.getvalue().rpartition("Order ")[2]
    for told in ("456789ab", "BONK/USDC", "5,000,000", "● confirmed", "0.0000232866"):
        assert told in last
    assert ("Raydium+Meteora" if width == 120 else "Ray+Met") in last
    assert ("10,073.5522" in last) is (width == 120)


@pytest.mark.parametrize(
    ("amount", "short"),
    [
        ("", ""),
        ("1.99999", "1.9999"),
        ("10073.5", "10,073.5000"),
        ("0.000022145678", "0.0000221456"),
    ],
)
def test_amounts_are_shortened_downwards(amount: str, short: str) -> None:
    assert shorten(amount) == short
