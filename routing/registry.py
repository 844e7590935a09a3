"""The venues that exist. A new one is a file like `raydium.py`, and one line here."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from routing.market import Market
from routing.meteora import Meteora
from routing.raydium import Raydium
from routing.venue import Program, SlotFeed

VENUES: Final[tuple[Callable[[Market, SlotFeed], Program], ...]] = (
    Raydium,
    Meteora,
)


def open_venues(market: Market, feed: SlotFeed) -> Mapping[str, Program]:
    """Every venue by its name, in the registry's order."""
    venues = (make_venue(market, feed) for make_venue in VENUES)
    return MappingProxyType({venue.name: venue for venue in venues})
