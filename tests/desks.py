"""Desks on which something goes wrong: only what is not ours is faked, and only where a test says so."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from orders.exchange import TradingDesk
from routing.chain import Chain, Statuses
from routing.errors import FateUnknown, RoutingError, Unavailable
from routing.pool import Pool
from routing.venue import Pair, Venue

OpenDesk = Callable[..., TradingDesk]
"""The fixture `open_desk`."""


class DownVenue:
    """A venue that can't answer; everything else of it works."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._venue, name)

    async def pools(self, pairs: Sequence[Pair]) -> tuple[Pool, ...]:
        self.asked += 1
        raise Unavailable("VENUE_DOWN", f"{self._venue.label} is down")


class EmptyVenue(DownVenue):
    """A venue that answers, and has no pool."""

    async def pools(self, pairs: Sequence[Pair]) -> tuple[Pool, ...]:
        return ()


class SlowVenue:
    """A venue that takes its time; one that is `deaf` goes on when it is told to stop."""

    def __init__(self, venue: Venue, seconds: float, *, deaf: bool = False) -> None:
        self._venue = venue
        self._seconds = seconds
        self._deaf = deaf

    def __getattr__(self, name: str) -> Any:
        return getattr(self._venue, name)

    async def pools(self, pairs: Sequence[Pair]) -> tuple[Pool, ...]:
        try:
            await asyncio.sleep(self._seconds)
        except asyncio.CancelledError:
            if not self._deaf:
                raise
            await asyncio.sleep(self._seconds)
        return await self._venue.pools(pairs)


class Node:
    """An RPC node in front of the chain that counts, loses and forgets as a test asks."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self.sent: list[bytes] = []
        self.loses_answers = False
        self.drops_sends = False
        self.is_down = False
        self.first_available_slot: int | None = None
        self.genesis_hash: str | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chain, name)

    def send(self, raw: bytes) -> str:
        self.sent.append(raw)
        if self.drops_sends:
            raise FateUnknown("RPC_TIMEOUT", "the node did not answer")
        signature = self._chain.send(raw)
        if self.loses_answers:
            raise FateUnknown("RPC_TIMEOUT", "the node did not answer")
        return signature

    def send_many(self, raws: Sequence[bytes]) -> tuple[RoutingError | None, ...]:
        answers: list[RoutingError | None] = []
        for raw in raws:
            try:
                self.send(raw)
                answers.append(None)
            except RoutingError as error:
                answers.append(error)
        return tuple(answers)

    def statuses(self, signatures: Sequence[str], *, search_history: bool = False) -> Statuses:
        if self.is_down:
            raise Unavailable("RPC_DOWN", "the node is down")
        return self._chain.statuses(signatures, search_history=search_history)

    def head(self) -> Any:
        head = self._chain.head()
        if self.first_available_slot is not None:
            head = replace(head, first_available_slot=self.first_available_slot)
        if self.genesis_hash is not None:
            head = replace(head, genesis_hash=self.genesis_hash)
        return head


def without(desk: TradingDesk, *names: str) -> TradingDesk:
    """The desk with these venues down."""
    venues = {
        name: DownVenue(venue) if name in names else venue for name, venue in desk.venues.items()
    }
    return replace(desk, venues=venues)


def listing_nothing(desk: TradingDesk) -> TradingDesk:
    """The desk with venues that have no pool of any pair."""
    return replace(desk, venues={name: EmptyVenue(each) for name, each in desk.venues.items()})


def slow(desk: TradingDesk, seconds: float, *, deaf: bool = False) -> TradingDesk:
    """The desk with venues that take so long to answer."""
    venues = {name: SlowVenue(venue, seconds, deaf=deaf) for name, venue in desk.venues.items()}
    return replace(desk, venues=venues)


def behind(desk: TradingDesk) -> tuple[TradingDesk, Node]:
    """The desk with a node between it and the chain."""
    node = Node(desk.chain)
    return replace(desk, chain=node), node
