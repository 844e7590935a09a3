"""Each fault of the chain alone, always; and all together, often: no order ends wrongly, and every one ends."""

from collections.abc import Callable

import pytest

from orders.models import Account, Order, OrderEvent
from routing.faults import FAULTS
from tests.routing.lab import ChainLab
from tests.simulation import run
from tests.simulation.world import World

pytestmark = pytest.mark.django_db(transaction=True)

BAD_FOR_S = 90

# What an order comes to while the fault goes on: it failed only if nothing was sent, or if what was is proven dead.
FAILED, CONFIRMED = {"failed"}, {"confirmed"}
MEANWHILE: dict[str, set[str]] = {
    "quote_timeout": FAILED,
    "send_refused": FAILED,
    "dropped": FAILED,
    "answer_lost": CONFIRMED,
    "duplicate_send": CONFIRMED,
    "slippage": FAILED,
    "lands_late": FAILED | CONFIRMED,
    "lands_last": CONFIRMED,
    "stale_read": CONFIRMED,
    "lagging_node": FAILED | CONFIRMED,  # far behind, it hands out blockhashes that have expired
    "no_history": CONFIRMED,
    "other_cluster": FAILED,
    "rpc_error": FAILED,
    "rpc_timeout": FAILED,
    "slow_answer": CONFIRMED,
}


def bad_day(world: World) -> None:
    """Processes that live, hints that arrive, and only the chain at fault."""
    for _ in range(3):
        world.place()
    end = world.now + BAD_FOR_S
    while world.now < end:
        for process in world.processes:
            world.beat(process)
        world.pass_time(1.0)


@pytest.fixture
def live_through(account: Account, lab: ChainLab) -> Callable[..., World]:
    def live_through(seed: int, scenario: Callable[[World], None], **faults: float) -> World:
        lab.restart()
        return run.run(
            seed,
            account=account,
            clock=lab.clock,
            open_chain=run.desk_of(lab),
            scenario=scenario,
            bad_day={"seed": seed, "faults": faults, "swap_delay_ms": (400, 1_200), **run.CHAIN},
        )

    return live_through


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_always_strikes_ends_no_order_wrongly(
    live_through: Callable[..., World], fault: str
) -> None:
    meanwhile: set[str] = set()

    def scenario(world: World) -> None:
        bad_day(world)
        meanwhile.update(Order.objects.values_list("status", flat=True))

    live_through(1, scenario, **{fault: 1.0})  # which judges what each order came to

    assert meanwhile <= MEANWHILE[fault], meanwhile


@pytest.mark.parametrize("fault", ["rpc_error", "rpc_timeout", "no_history", "other_cluster"])
def test_what_cannot_be_known_stays_in_doubt_and_ends_once_the_chain_answers(
    live_through: Callable[..., World], fault: str
) -> None:
    def scenario(world: World) -> None:
        world.place()
        world.execute(world.processes[0], world.orders[0])
        world.have_faults(dropped=1, **{fault: 1})
        for _ in range(BAD_FOR_S):
            for process in world.processes:
                world.beat(process)
            world.pass_time(1.0)
        order = Order.objects.get()
        assert (order.status, order.attempt) == ("submitted", 1)
        assert order.in_doubt_since is not None

    live_through(2, scenario, dropped=1)  # it ended: the run itself asks for that

    doubts = [e.details["inDoubt"] for e in OrderEvent.objects.all() if "inDoubt" in e.details]
    assert doubts and doubts[0] is not None


@pytest.mark.parametrize("seed", range(10))
def test_all_faults_together_end_no_order_wrongly(
    live_through: Callable[..., World], seed: int
) -> None:
    live_through(seed, bad_day, **dict.fromkeys(FAULTS, 0.2))
