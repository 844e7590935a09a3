"""Pytest plugin: which tests run beside which, with `pytest -n`.

Tests that start processes of the engine want a core for them, and run one after the other, in one of pytest's
processes. All others go a file at a time to whoever is free.
"""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

START_PROCESSES = (
    "tests/chaos/",
    "tests/e2e/",
    "tests/exporting/test_writing.py",
    "tests/routing/test_chain_outages.py",
    "tests/stream/",
    "tests/test_bench.py",
    "tests/test_compose_services.py",
    "tests/test_demo.py",
    "tests/test_downloads.py",
    "tests/test_embedded.py",
    "tests/test_outages.py",
    "tests/test_patience.py",
    "tests/test_proxy.py",
    "tests/test_quotes_served.py",
    "tests/test_restore.py",
    "tests/test_supervisor.py",
    "tests/test_up.py",
    "tests/test_up_split.py",
    "tests/test_worker.py",
    "tests/test_worker_outages.py",
)


class ByFile(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return "processes" if nodeid.startswith(START_PROCESSES) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    return ByFile(config, log)
