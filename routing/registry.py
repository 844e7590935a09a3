"""The venues that exist. A new one is a file like `raydium.py`, and one line here: see `docs/add-a-venue.md`."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Protocol

from routing.market import Market
from routing.meteora import Meteora
from routing.raydium import Raydium
from routing.venue import AccountFeed, Program


class MakeVenue(Protocol):
    """A venue's class."""

    def __call__(self, market: Market, feed: AccountFeed, *, slot_ms: int) -> Program: ...


VENUES: Final[tuple[MakeVenue, ...]] = (
    Raydium,
    Meteora,
)


def open_venues(market: Market, feed: AccountFeed, *, slot_ms: int) -> Mapping[str, Program]:
    """Every venue by its name, in the registry's order."""
    venues = (make_venue(market, feed, slot_ms=slot_ms) for make_venue in VENUES)
    return MappingProxyType({venue.name: venue for venue in venues})
