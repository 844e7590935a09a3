"""Settings that can't be used stop the process with the variable's name."""

import os
import subprocess
import sys

import pytest

from config.stack.engine_processes import web_processes
from tests.compose import SECRETS, load_compose


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MOCK_SWAP_DELAY_MS", "fast"),
        ("MOCK_SWAP_DELAY_MS", "3000-2000"),
        ("MOCK_SWAP_DELAY_MS", "-5"),
        ("MOCK_QUOTE_DELAY_MS", "-1"),
        ("MOCK_FAULT_RATE", "1.1"),
        ("ORDER_RATE_LIMIT", "6000"),
        ("ORDER_RATE_LIMIT", "0/min"),
        ("ORDER_RATE_LIMIT", "5/fortnight"),
        ("WORKER_CONCURRENCY", "0"),
        ("WORKER_CONCURRENCY", "ten"),
        ("LEASE_S", "0"),
        ("QUOTE_TTL_S", "0"),
        ("QUOTE_TTL_S", "1.5"),
        ("MAX_ORDER_AMOUNT", "much"),
        ("DEBUG", "perhaps"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_an_unusable_value_is_named(variable: str, value: str) -> None:
    process = run_settings(**{variable: value})

    assert process.returncode != 0
    assert variable in process.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("variable", "value", "expression", "result"),
    [
        ("MOCK_SWAP_DELAY_MS", "250", "MOCK_SWAP_DELAY_MS", "(250, 250)"),
        ("MOCK_SWAP_DELAY_MS", "10-20", "MOCK_SWAP_DELAY_MS", "(10, 20)"),
        ("ORDER_RATE_LIMIT", "100/s", "ORDER_RATE_LIMIT", "(100, 1)"),
        ("ORDER_RATE_LIMIT", "90/hour", "ORDER_RATE_LIMIT", "(90, 3600)"),
        (
            "DATABASE_URL",
            "postgresql://h/engine?x=1",
            "CHAIN_DATABASE_URL",
            "postgresql://h/engine_chain?x=1",
        ),
    ],
)
def test_a_usable_value_is_understood(
    variable: str, value: str, expression: str, result: str
) -> None:
    without_chain = {"CHAIN_DATABASE_URL": ""}

    process = run_settings(expression, **without_chain, **{variable: value})

    assert process.stdout.strip() == result, process.stderr


@pytest.mark.parametrize("chosen", [{}, {"WEB_THREADS": "50"}], ids=["by default", "chosen"])
@pytest.mark.parametrize("where", ["stack", "compose"])
def test_rests_threads_have_a_connection_each(where: str, chosen: dict[str, str]) -> None:
    if where == "stack":
        command = web_processes(env=chosen, port=1, stream_port=2)[0].command
        argv, env = list(command.argv), command.env
    else:
        web = load_compose(SECRETS | chosen)["services"]["web"]
        argv, env = web["command"], web["environment"]
    threads = int(argv[argv.index("--blocking-threads") + 1])

    process = run_settings("DB_POOL_SIZE", **env)

    assert threads == int(chosen.get("WEB_THREADS", 32))
    assert threads <= int(process.stdout), process.stderr


def run_settings(expression: str = "''", **env: str) -> "subprocess.CompletedProcess[str]":
    code = f"from config.settings import *; print({expression})"
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=30,
    )
