"""What tests of several modules share: an account, and a desk on a chain whose clock only tests move."""

import os
import signal
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from solders.keypair import Keypair

from orders import accounts, inflight, receipts, turns
from orders.exchange import TradingDesk
from orders.inflight import Sent
from orders.models import Account
from routing import registry
from routing.meteora import Meteora
from routing.raydium import Raydium
from routing.simulated_schema import create_database_if_missing, install
from tests.factories import claim, place, sign
from tests.routing.lab import ChainLab, ManualClock, empty

# Whoever is started with `nohup` or `&` ignores interrupts, and so does all that it starts: tests that send one would
# wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def chain_conninfo() -> Iterator[str]:
    """A chain that tests may wipe: not the one that processes started by other tests trade on."""
    parts = urlsplit(os.environ["CHAIN_DATABASE_URL"])
    conninfo = parts._replace(path=f"{parts.path}_lab").geturl()
    create_database_if_missing(conninfo)
    install(conninfo)
    yield conninfo
    with psycopg.connect(os.environ["CHAIN_DATABASE_URL"], autocommit=True) as server:
        name = sql.Identifier(urlsplit(conninfo).path.lstrip("/"))
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@pytest.fixture(scope="session")
def signer() -> Keypair:
    return Keypair.from_seed(bytes(range(32)))


@pytest.fixture
def lab(chain_conninfo: str, signer: Keypair) -> Iterator[ChainLab]:
    empty(chain_conninfo)
    lab = ChainLab(chain_conninfo, ManualClock(), signer)
    yield lab
    lab.close()


@pytest.fixture
def open_desk(lab: ChainLab) -> Callable[..., TradingDesk]:
    """A desk on the lab's chain: `open_desk(swap_delay_ms=(400, 400))`. By default swaps land as they are sent."""

    def open_desk(**config: object) -> TradingDesk:
        chain = lab.open(**config)
        return TradingDesk(
            venues=chain.venues,
            chain=chain,
            signer=lab.signer,
            genesis_hash=chain.genesis_hash,
            prices=chain.market.reference_prices,
            purge=chain.purge,
        )

    return open_desk


@pytest.fixture
def desk(open_desk: Callable[..., TradingDesk]) -> TradingDesk:
    return open_desk()


@pytest.fixture(autouse=True)
def two_venues(monkeypatch: pytest.MonkeyPatch) -> None:
    """What tests expect of an order is what these two make of it. Any other is held to the contract of venues."""
    monkeypatch.setattr(registry, "VENUES", (Raydium, Meteora))


@pytest.fixture(autouse=True)
def nothing_known_of_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test begins as a worker does, that has not seen yet which steps are quick."""
    monkeypatch.setattr(turns, "_usual_s", {})


@pytest.fixture(autouse=True)
def no_state_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test stored of the pools is gone in the next."""
    monkeypatch.setattr(receipts, "known", set())


@pytest.fixture(autouse=True)
def nothing_in_flight() -> Iterator[None]:
    """What a test leaves to the pulse is nobody's after it."""
    yield
    inflight.here.forget(inflight.here.held())


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Venues and node have answered at once so far."""
    for what in ("quotes", "blockhash", "simulations"):
        monkeypatch.setitem(turns._usual_s, what, 0.0)


@pytest.fixture
def account(db: None) -> Account:
    return accounts.create_account("alice")


@pytest.fixture
def api_key(account: Account) -> str:
    return accounts.issue_key(account=account, label="tests")[0]


@pytest.fixture
def unsent(account: Account, desk: TradingDesk) -> Sent:
    """A committed transaction that the chain never hears of."""
    return sign(claim(place(account)), desk=desk)
