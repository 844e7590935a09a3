"""Pytest plugin: which tests run beside which, with `pytest -n`.

Tests that watch a clock while the engine's processes are at work want a core for them, and run one after the other, in
one of pytest's processes. All others go a file at a time to whoever is free.
"""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

WATCH_A_CLOCK = (
    "tests/chaos/",
    "tests/e2e/",
    "tests/routing/test_chain_outages.py",
    "tests/stream/",
    "tests/test_outages.py",
    "tests/test_patience.py",
    "tests/test_proxy.py",
    "tests/test_worker.py",
    "tests/test_worker_outages.py",
)


class ByFile(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return "one by one" if nodeid.startswith(WATCH_A_CLOCK) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    return ByFile(config, log)
