"""Which exchange this process trades on: the venues, the chain and the key that signs, as the settings say."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from django.conf import settings
from solders.keypair import Keypair

from routing.chain import Chain
from routing.exchange import Exchange, simulated_exchange
from routing.simulation import SimulationConfig
from routing.transaction import load_signer
from routing.venue import Venue


@dataclass(frozen=True, slots=True)
class TradingDesk:
    """All that execution needs of the outside world."""

    venues: Mapping[str, Venue]
    chain: Chain
    signer: Keypair
    genesis_hash: Callable[[], str]  # of the cluster that we trade on
    purge: Callable[
        [int], int
    ]  # forgets transactions that landed before a slot; the simulation's housekeeping
    monotonic: Callable[[], float] = time.monotonic  # seconds, to measure waiting by

    def __repr__(self) -> str:
        return f"TradingDesk(venues={list(self.venues)}, signer={self.signer.pubkey()})"


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
