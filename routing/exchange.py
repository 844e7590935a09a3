"""Everything outside the engine, put together: a chain, and the venues on it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from routing.chain import Chain
from routing.route import ReferencePrices
from routing.simulated_chain import SimulatedChain
from routing.simulated_node import SimulatedNode
from routing.simulation import SimulationConfig
from routing.tokens import Token
from routing.venue import Venue

Prices = Callable[[Sequence[Token], int], ReferencePrices]
"""What tokens are worth on the market at a slot."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One per process. `venues` is by name.

    `genesis_hash()` is the cluster that we trade on, whatever a node says of itself.
    `current_slot()` and `begins_at(slot)` are clocks: only the first call of either needs the chain, and raises
    `Unavailable` while that can't be reached. `purge(before_slot)` forgets old landed transactions and returns
    how many; `close()` gives every connection back.
    """

    chain: Chain
    venues: Mapping[str, Venue]
    genesis_hash: Callable[[], str]
    prices: Prices
    current_slot: Callable[[], int]
    begins_at: Callable[[int], datetime]
    purge: Callable[[int], int]
    close: Callable[[], None]


def simulated_exchange(
    config: SimulationConfig,
    conninfo: str,
    *,
    pool_size: int,
    timeout_s: float = 5.0,
    clock: Callable[[], float] = time.time,
) -> Exchange:
    """A simulated exchange whose chain lives in the database that `conninfo` names.

    The database must have been prepared (`simulated_schema.create_database_if_missing`, `install`). Nothing
    connects before the first call, so it is safe at import and before a fork.
    """
    chain = SimulatedChain(config, conninfo, clock=clock, pool_size=pool_size, timeout_s=timeout_s)
    return Exchange(
        chain=SimulatedNode(chain, config) if config.rates else chain,
        venues=chain.venues,
        genesis_hash=chain.genesis_hash,
        prices=chain.market.reference_prices,
        current_slot=chain.current_slot,
        begins_at=chain.begins_at,
        purge=chain.purge,
        close=chain.close,
    )
