"""Hands events to this process's sockets: every one, once, in order. One hub per event loop; sockets hold no layer.

Speed comes from the Channels groups, completeness from PostgreSQL: whatever a group message skips, or never says, is
found by comparing `seq` with the orders' own once a second, and read from the log.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from uuid import UUID
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer

from orders import observe, passes, stream_log
from orders.gathering import AsyncGathering
from orders.recent import RecentEvents
from orders.stream import group_of
from orders.stream_log import Place, in_database, promptly
from orders.subscription import Line, Subscription

COMPARE_EVERY_S = 1.0
HEARTBEAT_EVERY_S = 10.0
RETRY_AFTER_S = 1.0
YIELD_EVERY = 25
# A group is left so long after its account's last socket: the next one needn't wait to be told of what happens.
LEAVE_GROUP_AFTER_S = 60.0
MOST_PLACES = 500
NOT_AUTHENTICATED = 4401


async def _places(order_ids: Sequence[UUID]) -> list[Place | None]:
    return await promptly(stream_log.places, order_ids)


class Hub:
    """Every method belongs to the event loop that made it."""

    def __init__(self) -> None:
        self._by_order: defaultdict[UUID, set[Subscription]] = defaultdict(set)
        self._by_account: defaultdict[int, set[Subscription]] = defaultdict(
            set
        )  # accounts' streams
        self._sockets: defaultdict[int, int] = defaultdict(
            int
        )  # how many an account has, of both kinds
        self._empty_since: dict[int, float] = {}  # accounts whose last socket went
        self._joined: set[int] = set()  # accounts whose group this hub listens to
        self._channel: str | None = None
        self._sockets_changed = asyncio.Event()
        self._behind: dict[UUID, int] = {}  # orders to be read from the log, after this seq
        self._gap_found = asyncio.Event()
        self._recent = RecentEvents()
        self._look_up = AsyncGathering(_places, most=MOST_PLACES)
        self._tasks = [
            asyncio.create_task(self._forever(beat), name=f"hub{beat.__name__}")
            for beat in (
                self._listen,
                self._join_groups,
                self._fill,
                self._compare,
                self._lock_out,
                self._beat_hearts,
            )
        ]

    async def place_of(self, order_id: UUID, *, after: int) -> Place | None:
        """Where the order is, at `after` or further if that is true; None if there is none. Many ask in one query."""
        place = self._recent.place_of(order_id)
        if place is not None and place.last_seq >= after:
            return place
        return await self._look_up(order_id)

    async def join(self, subscription: Subscription) -> None:
        """From here on the socket gets every event after those it has seen, beginning with what was heard or logged."""
        self._audience(subscription).add(subscription)
        self._sockets[subscription.account_id] += 1
        self._empty_since.pop(subscription.account_id, None)
        if subscription.account_id not in self._joined:
            self._sockets_changed.set()
        order_id, lines = subscription.order_id, None
        if order_id is not None:
            lines = self._recent.lines_after(order_id, subscription.seen[order_id])
        if lines is None:
            self._read_up(subscription)
        else:
            await self._deliver(lines)

    def leave(self, subscription: Subscription) -> None:
        """Safe to repeat."""
        audience = self._audience(subscription)
        if subscription in audience:
            audience.remove(subscription)
            self._sockets[subscription.account_id] -= 1
            if self._sockets[subscription.account_id] == 0:
                self._empty_since[subscription.account_id] = time.monotonic()
        if not audience and subscription.order_id is not None:
            del self._by_order[subscription.order_id]

    def _audience(self, subscription: Subscription) -> set[Subscription]:
        if subscription.order_id is None:
            return self._by_account[subscription.account_id]
        return self._by_order[subscription.order_id]

    # --- delivery -----------------------------------------------------------------------------------------------------

    async def _deliver(self, lines: Iterable[Line]) -> None:
        for count, line in enumerate(lines, start=1):
            if count % YIELD_EVERY == 0:
                await asyncio.sleep(
                    0
                )  # the server writes in between: a burst must not look like a slow reader
            for subscription in self._listeners(line.account_id, line.order_id):
                if subscription.is_next(line.order_id, line.seq):
                    await self._at_its_edge(subscription, subscription.deliver(line))
                elif subscription.lacks(line.order_id, line.seq):
                    self._mark_behind(subscription, line.order_id)

    def _listeners(self, account_id: int, order_id: UUID) -> Iterator[Subscription]:
        """A copy: whoever is sent the last event leaves."""
        sockets = (*self._by_order.get(order_id, ()), *self._by_account.get(account_id, ()))
        return iter(sockets)

    def _mark_behind(self, subscription: Subscription, order_id: UUID) -> None:
        seq = subscription.seen.get(order_id, 0)
        self._behind[order_id] = min(seq, self._behind.get(order_id, seq))
        self._gap_found.set()

    def _read_up(self, subscription: Subscription) -> None:
        for order_id in subscription.seen:
            if order_id not in subscription.finished_at:
                self._mark_behind(subscription, order_id)

    # --- what keeps it going ------------------------------------------------------------------------------------------

    async def _forever(self, beat: Callable[[], Awaitable[None]]) -> None:
        is_failing = False
        while True:
            try:
                await beat()
            except Exception as error:  # the task's edge: Redis or PostgreSQL is away
                if not is_failing:
                    observe.hub_failed(task=beat.__name__, error=error)
                is_failing = True
                await asyncio.sleep(RETRY_AFTER_S)
            else:
                if is_failing:
                    observe.hub_recovered(task=beat.__name__)
                is_failing = False

    async def _listen(self) -> None:
        """Hand on what the groups say."""
        layer = get_channel_layer()
        if self._channel is None:
            self._channel = await layer.new_channel("hub")
            self._sockets_changed.set()
            return  # so that what failed before counts as mended, though no message may come for long
        message = await layer.receive(self._channel)
        account_id = message["account"]
        lines = [
            Line(account_id, UUID(order_id), seq, is_final, text)
            for order_id, seq, is_final, text in message["events"]
        ]
        for line in lines:
            self._recent.hear(line)
        await self._deliver(lines)

    async def _join_groups(self) -> None:
        """Listen to the groups of accounts that have sockets here, or had one a moment ago, and to no others."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_GROUP_AFTER_S / 4):
                await self._sockets_changed.wait()
        self._sockets_changed.clear()
        if self._channel is None:
            return
        layer = get_channel_layer()
        try:
            for account_id in list(self._sockets):
                # Counted anew each time: sockets come and go while the layer is awaited.
                if self._sockets[account_id] > 0 and account_id not in self._joined:
                    await layer.group_add(group_of(account_id), self._channel)
                    self._joined.add(account_id)
                    self._read_up_account(account_id)
                elif self._has_been_empty(account_id):
                    self._joined.discard(account_id)
                    self._recent.forget(account_id)
                    del self._sockets[account_id], self._empty_since[account_id]
                    self._by_account.pop(account_id, None)
                    await layer.group_discard(group_of(account_id), self._channel)
        except Exception:
            self._sockets_changed.set()
            raise

    def _has_been_empty(self, account_id: int) -> bool:
        since = self._empty_since.get(account_id)
        return since is not None and time.monotonic() - since >= LEAVE_GROUP_AFTER_S

    def _read_up_account(self, account_id: int) -> None:
        """What was announced before the group was joined is in the log."""
        for subscription in chain(*self._by_order.values(), self._by_account.get(account_id, ())):
            if subscription.account_id == account_id:
                self._read_up(subscription)

    async def _fill(self) -> None:
        """Read what is missing from the log: all sockets' gaps in one query."""
        await self._gap_found.wait()
        self._gap_found.clear()
        began = time.monotonic()
        behind, self._behind = self._behind, {}
        try:
            events = await in_database(stream_log.events_after, behind)
        except Exception:
            self._behind = behind | self._behind
            self._gap_found.set()
            raise
        await self._deliver(Line.of(event) for event in events)
        await asyncio.sleep(
            time.monotonic() - began
        )  # of what comes in a crowd, the rest comes meanwhile

    async def _compare(self) -> None:
        """Find what no group message told of."""
        await asyncio.sleep(COMPARE_EVERY_S)
        newer_than = stream_log.oldest_recent_id()
        watched = set(self._by_order)
        streams: dict[int, UUID] = {}
        for account_id, subscription in self._account_streams():
            watched |= subscription.seen.keys() - subscription.finished_at.keys()
            streams[account_id] = min(
                streams.get(account_id, newer_than), subscription.newer_than or newer_than
            )
        if not watched and not streams:
            return
        for account_id, order_id, last_seq in await in_database(
            stream_log.last_seqs, list(watched), streams
        ):
            for subscription in self._listeners(account_id, order_id):
                if subscription.lacks(order_id, last_seq):
                    self._mark_behind(subscription, order_id)
        for _, subscription in self._account_streams():
            subscription.forget_finished(newer_than=newer_than)

    def _account_streams(self) -> Iterator[tuple[int, Subscription]]:
        for account_id, audience in list(self._by_account.items()):
            for subscription in list(audience):
                yield account_id, subscription

    async def _lock_out(self) -> None:
        """Close the sockets whose key was revoked, and those of people who signed out or may not come in any more."""
        await asyncio.sleep(COMPARE_EVERY_S)
        sockets = self._subscriptions()
        if not sockets:
            return
        valid = await in_database(passes.still_valid, {each.opened_by for each in sockets})
        for subscription in sockets:
            if subscription.opened_by not in valid:
                self.leave(subscription)
                await self._at_its_edge(subscription, subscription.close(NOT_AUTHENTICATED))

    async def _beat_hearts(self) -> None:
        await asyncio.sleep(HEARTBEAT_EVERY_S)
        for subscription in self._subscriptions():
            await self._at_its_edge(subscription, subscription.heartbeat())

    def _subscriptions(self) -> list[Subscription]:
        return list(chain(*self._by_order.values(), *self._by_account.values()))

    async def _at_its_edge(self, subscription: Subscription, message: Awaitable[None]) -> None:
        """A socket that fails is dropped: it must not cost the others a message."""
        try:
            await message
        except Exception as error:
            self.leave(subscription)
            observe.socket_failed(error=error)


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """The running loop's hub, made at first use."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]
