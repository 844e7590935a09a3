"""The chain's database, a signer, and the lab that opens chains on it."""

import os
from collections.abc import Iterator

import pytest
from solders.keypair import Keypair

from routing.simulated_schema import create_database_if_missing, install
from tests.routing.lab import ChainLab, ManualClock, empty


@pytest.fixture(scope="session")
def chain_conninfo() -> str:
    conninfo = os.environ.get(
        "CHAIN_DATABASE_URL", "postgresql://root@127.0.0.1:5432/routing_test_chain"
    )
    create_database_if_missing(conninfo)
    install(conninfo)
    return conninfo


@pytest.fixture(scope="session")
def signer() -> Keypair:
    return Keypair.from_seed(bytes(range(32)))


@pytest.fixture
def lab(chain_conninfo: str, signer: Keypair) -> Iterator[ChainLab]:
    empty(chain_conninfo)
    lab = ChainLab(chain_conninfo, ManualClock(), signer)
    yield lab
    lab.close()
