"""Which exchange this process trades on: the venues, the chain and the key that signs, as the settings say."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from django.conf import settings
from solders.keypair import Keypair

from orders.venue_health import VenueHealth
from routing.answers import Answer
from routing.chain import NETWORK_FEE_LAMPORTS, Chain
from routing.exchange import Exchange, Prices, simulated_exchange
from routing.route import ReferencePrices
from routing.router import Terms
from routing.simulation import SimulationConfig
from routing.tokens import SOL
from routing.transaction import load_signer
from routing.venue import Pair, Venue


@dataclass(frozen=True, slots=True)
class TradingDesk:
    """All that execution needs of the outside world."""

    venues: Mapping[str, Venue]
    chain: Chain
    signer: Keypair
    genesis_hash: Callable[[], str]  # of the cluster that we trade on
    prices: Prices
    purge: Callable[
        [int], int
    ]  # forgets transactions that landed before a slot; the simulation's housekeeping
    monotonic: Callable[[], float] = time.monotonic  # seconds, to measure waiting by
    health: VenueHealth = field(default_factory=VenueHealth)

    def terms(self, pairs: Sequence[Pair], answers: Sequence[Answer]) -> Terms:
        """See `terms_of`."""
        return terms_of(pairs, answers, self.prices)

    def __repr__(self) -> str:
        return f"TradingDesk(venues={list(self.venues)}, signer={self.signer.pubkey()})"


def terms_of(pairs: Sequence[Pair], answers: Sequence[Answer], prices: Prices) -> Terms:
    """What a route over these pairs costs, at the market's prices of the newest slot that a venue answered for."""
    tokens = {token.symbol: token for pair in pairs for token in pair} | {"SOL": SOL}
    slot = max((pool.slot for answer in answers for pool in answer.pools[:1]), default=None)
    return Terms(
        prices=ReferencePrices({}) if slot is None else prices(list(tokens.values()), slot),
        network_fee_lamports=NETWORK_FEE_LAMPORTS,
        leg_cost_lamports=settings.LEG_COST_LAMPORTS,
    )


@cache
def exchange() -> Exchange:
    """This process's way to the venues and the chain; its connections are opened at first use."""
    return simulated_exchange(
        simulation_config(), settings.CHAIN_DATABASE_URL, pool_size=settings.WORKER_CONCURRENCY + 4
    )


@cache
def trading_desk() -> TradingDesk:
    """The exchange with the key that signs. Only workers need it."""
    outside = exchange()
    return TradingDesk(
        venues=outside.venues,
        chain=outside.chain,
        signer=signer(),
        genesis_hash=outside.genesis_hash,
        prices=outside.prices,
        purge=outside.purge,
    )


def simulation_config() -> SimulationConfig:
    """The simulated market and chain, from the MOCK_* settings."""
    return SimulationConfig(
        seed=settings.MOCK_SEED,
        quote_delay_ms=settings.MOCK_QUOTE_DELAY_MS,
        swap_delay_ms=settings.MOCK_SWAP_DELAY_MS,
        fault_rate=settings.MOCK_FAULT_RATE,
        faults=settings.MOCK_FAULTS,
        slot_ms=settings.MOCK_SLOT_MS,
        finality_slots=settings.MOCK_FINALITY_SLOTS,
        blockhash_valid_blocks=settings.MOCK_BLOCKHASH_VALID_BLOCKS,
    )


def signer() -> Keypair:
    """The engine's key: `SIGNER_KEYPAIR` (base58, or a file as the Solana CLI writes it), or one made in `DATA_DIR`."""
    return load_signer(settings.SIGNER_KEYPAIR or None, fallback=settings.DATA_DIR / "signer.json")
