"""A world in virtual time: a few processes that die, sleep and lose answers, on a chain that has bad days.

The processes run the engine's own code on a real PostgreSQL, one after the other, in an order that the seed gives. So a
seed replays exactly, and a process can be stopped at any point while the others go on.
"""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import OperationalError, connection

from orders import execution, intake, interventions
from orders.exchange import TradingDesk
from orders.inflight import InFlight
from orders.lifecycle import TERMINAL, Status
from orders.models import Account, Order, OrderAttempt, OrderEvent
from orders.pulse import Pulse
from orders.stream import Event
from routing.chain import Chain
from routing.transaction import parse
from tests.factories import new_order
from tests.simulation.points import Crash, WatchedChain

MOST_POINTS = 16  # of one action that an interruption is placed at


class Broken(BaseException):
    """A promise that did not hold. No edge of the engine's threads may swallow it."""


class LostAnswer(OperationalError):
    """The connection broke: before the statement, or after it was committed."""


@dataclass
class Interruption:
    """What happens at the n-th point from now."""

    kind: str  # crash, nap, database
    points_left: int


class Inline:
    """An executor for the pulse: this world has one thread."""

    def submit(self, call: Callable[..., None], *args: Any) -> "Future[None]":
        future: Future[None] = Future()
        call(*args)
        future.set_result(None)
        return future


@dataclass
class Process:
    """One worker: what it holds in memory, and when it last renewed its leases."""

    name: str
    desk: TradingDesk
    held: InFlight
    pulse: Pulse
    renewed_at: float
    asleep: bool = False
    fences: dict[UUID, int] = field(default_factory=dict)  # of the leases that it took


@dataclass
class World:
    """`open_desk(faults)` opens the chain as one process sees it. `clock` is everybody's."""

    seed: int
    account: Account
    clock: Any
    open_chain: Callable[..., TradingDesk]
    bad_day: dict[str, Any]
    dice: Random = field(init=False)
    processes: list[Process] = field(init=False, default_factory=list)
    orders: list[UUID] = field(init=False, default_factory=list)
    hints: list[tuple[float, UUID]] = field(init=False, default_factory=list)
    redis_is_away: bool = field(init=False, default=False)
    interruption: Interruption | None = field(init=False, default=None)
    history: list[str] = field(init=False, default_factory=list)
    acting: Process | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        forget_earlier_runs()
        self.dice = Random(self.seed)
        self._chain = self.open_chain(**self.bad_day)
        self._set_time()
        for _ in range(self.dice.randint(2, 3)):
            self._start_process()

    # --- time and processes -------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        return float(self.clock.now_s)

    def _set_time(self) -> None:
        at = datetime.fromtimestamp(self.now, UTC).isoformat()
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('engine.now', %s, false)", [at])

    def pass_time(self, seconds: float) -> None:
        """Time goes by; whoever is awake keeps its leases."""
        end = self.now + seconds
        while self.now < end:
            self.clock.now_s = min(end, self.now + settings.LEASE_S / 4)
            self._set_time()
            for process in self.awake():
                self._renew(process)

    def _start_process(self) -> None:
        name = f"p{len(self.history)}"
        watched: Any = WatchedChain(self._chain.chain, self)
        desk = TradingDesk(
            venues=self._chain.venues,
            chain=watched,
            signer=self._chain.signer,
            genesis_hash=self._chain.genesis_hash,
            prices=self._chain.prices,
            purge=self._chain.purge,
            monotonic=lambda: self.now,
        )
        held = InFlight(monotonic=lambda: self.now)
        pulse = Pulse(desk=desk, held=held)
        pulse._own_threads = Inline()  # type: ignore[assignment]
        self.processes.append(Process(name, desk, held, pulse, renewed_at=self.now))

    def awake(self) -> list[Process]:
        return [process for process in self.processes if not process.asleep]

    def _renew(self, process: Process) -> None:
        before, self.acting = self.acting, process
        try:
            with self._uninterrupted():
                process.pulse.renew()
            process.renewed_at = self.now
        finally:
            self.acting = before

    def _uninterrupted(self) -> "_Uninterrupted":
        return _Uninterrupted(self)

    # --- what happens -------------------------------------------------------------------------------------------------

    def act(self, what: str, process: Process, action: Callable[[], None]) -> None:
        """Run a process's action; it may be interrupted at some point, and end there."""
        before, self.acting = self.acting, process
        self.history.append(f"{self.now:.2f} {process.name} {what}")
        try:
            action()
        except LostAnswer:
            self.history.append(f"  {process.name} lost its database")
        except Crash:
            self.history.append(f"  {process.name} died")
            self.processes.remove(process)
            self._start_process()
        finally:
            self.acting = before
            if before is None:
                self.interruption = None

    def point(self, name: str, *, database: bool) -> None:
        """A process has come to a point: let it die, sleep or lose its answer there if it is due."""
        due = self.interruption
        if due is None or self.acting is None or connection.in_atomic_block:
            return
        due.points_left -= 1
        if due.points_left > 0 or (due.kind == "database" and not database):
            return
        self.interruption = None
        self.history.append(f"  {due.kind} {name}")
        if due.kind == "crash":
            raise Crash
        if due.kind == "database":
            raise LostAnswer(name)
        self._nap(self.acting)

    def _nap(self, process: Process) -> None:
        """The others go on while this process stands still, past its lease mostly."""
        process.asleep = True
        self.pass_time(settings.LEASE_S * self.dice.choice([0.5, 1.1, 1.5, 6]))
        for _ in range(self.dice.randint(2, 6)):
            if self.awake():
                if (
                    self.dice.random() < 0.4
                ):  # and may die over it: say, between its claim and its first write
                    self.interruption = Interruption("crash", self.dice.randint(1, 5))
                self.beat(self.dice.choice(self.awake()))
                self.interruption = None
                self.pass_time(self.dice.choice([0.1, 0.5, 1.0]))
        process.asleep = False

    def beat(self, process: Process) -> None:
        """All that a living process does in a second."""
        self.act("sweeps", process, process.pulse.sweep)
        if process in self.processes:
            self.act("asks", process, process.pulse.confirm)
        self.deliver_one()

    def deliver_one(self) -> None:
        """Hand a hint to somebody; perhaps lose it, perhaps keep a copy."""
        due = [hint for hint in self.hints if hint[0] <= self.now]
        if not due or not self.awake() or self.redis_is_away:
            return
        hint = self.dice.choice(due)
        fate = self.dice.random()
        if fate > 0.2:
            self.hints.remove(hint)
        if fate < 0.9:
            process = self.dice.choice(self.awake())
            self.execute(process, hint[1])

    def execute(self, process: Process, order_id: UUID) -> None:
        """A worker acts on a hint."""
        what = f"executes {self.orders.index(order_id)}"
        self.act(what, process, lambda: self._execute(process, order_id))

    def _execute(self, process: Process, order_id: UUID) -> None:
        """As the task does it: others that are due come along, and Celery hints again after a back-off."""
        done = execution.execute(
            [order_id], room=self.dice.choice([0, 1, 9]), desk=process.desk, held=process.held
        )
        self.hints += [(self.now + self.dice.choice([1, 2, 4]), each) for each, _ in done.retries]

    def place(self) -> None:
        order_id = UUID(int=self.dice.getrandbits(128), version=4)
        self.orders.append(order_id)
        wish = new_order(self.account, id=order_id, slippage_bps=self.dice.choice([50, 500]))
        intake.place_order(wish)
        self.history.append(f"{self.now:.2f} placed {len(self.orders) - 1}")

    def cancel(self) -> None:
        order_id = self.dice.choice(self.orders)
        self.history.append(f"{self.now:.2f} cancel {self.orders.index(order_id)}")
        with suppress(intake.AlreadyFinal):
            intake.cancel_order(order_id, account_id=self.account.pk)

    def requeue(self) -> None:
        """Somebody in the console loses patience."""
        order_id = self.dice.choice(self.orders)
        self.history.append(f"{self.now:.2f} requeue {self.orders.index(order_id)}")
        with suppress(interventions.NothingToHurry):
            interventions.requeue(order_id)

    # --- what the world sees ------------------------------------------------------------------------------------------

    def hint(self, order_ids: Collection[UUID], *, after_s: float = 0.0) -> None:
        if self.redis_is_away:
            raise OSError("Redis is away")
        self.hints += [(self.now + after_s, order_id) for order_id in order_ids]

    def hint_soon(self, order_ids: Sequence[UUID]) -> None:
        if not self.redis_is_away:
            self.hint(order_ids)

    def announced(self, events: Sequence[Event]) -> None:
        for event in events:
            if not OrderEvent.objects.filter(order=event.order_id, seq=event.seq).exists():
                raise Broken(f"announced before it was committed: {event.order_id}#{event.seq}")
            if connection.in_atomic_block:
                raise Broken(f"announced inside a transaction: {event.order_id}#{event.seq}")
            self._wrote(event)

    def _wrote(self, event: Event) -> None:
        """A worker may write only under the lease that it took last."""
        if self.acting is None:
            return
        mine = self.acting.fences.get(event.order_id, 0)
        fence = Order.objects.values_list("fence", flat=True).get(id=event.order_id)
        released = event.status in (Status.ROUTING, *TERMINAL)
        if fence not in ((mine, mine + 1) if released else (mine,)):
            raise Broken(f"{self.acting.name} wrote {event.order_id}#{event.seq} without a lease")

    def failed(self, *, error: Exception, **where: object) -> None:
        """The edge of a thread caught something; only a lost database is no bug."""
        if not isinstance(error, LostAnswer):
            raise Broken(f"failed with {error!r} {where}")

    def about_to_send(self, raw: bytes) -> None:
        memo = parse(raw).memo
        order_id, _, number = memo.partition(":")
        attempt = OrderAttempt.objects.filter(order=order_id, number=int(number)).first()
        if attempt is None or bytes(attempt.signed_bytes or b"") != raw:
            raise Broken(f"sent what was not committed: {memo}")

    def claimed(self, order: Order) -> None:
        """Nobody may take an order from a process that lives and renews."""
        if self.acting:
            self.acting.fences[order.id] = order.fence
        for process in self.awake():
            if process is self.acting or process.renewed_at < self.now - settings.LEASE_S / 2:
                continue
            sent = process.held._waiting.get(order.id)
            if sent and sent.fence == order.fence - 1:
                raise Broken(f"{order.id} was taken from {process.name}, which is alive")

    def have_faults(self, **faults: float) -> Chain:
        """From here on everybody sees the chain through these faults; without any, as it is."""
        self._chain = self.open_chain(**self.bad_day | {"faults": faults})
        for process in self.processes:
            process.desk.chain.chain = self._chain.chain  # type: ignore[attr-defined]
        return self._chain.chain


def forget_earlier_runs() -> None:
    """Their orders have the same ids if the seed is the same."""
    with connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE orders_order, orders_orderattempt, orders_orderevent, orders_resolution"
        )


class _Uninterrupted:
    def __init__(self, world: World) -> None:
        self._world = world

    def __enter__(self) -> None:
        self._kept, self._world.interruption = self._world.interruption, None

    def __exit__(self, *_: object) -> None:
        self._world.interruption = self._kept
