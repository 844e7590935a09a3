"""One run from one seed: a stretch of trouble, then calm in which everything must come to its end."""

import random
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import connection

from orders.exchange import TradingDesk
from orders.lifecycle import TERMINAL
from orders.models import Account, Order
from routing.chain import Chain, LandedTransaction
from routing.faults import FAULTS
from routing.simulated_node import SimulatedNode
from tests.routing.lab import ChainLab
from tests.simulation.judge import complaints
from tests.simulation.points import watched_by
from tests.simulation.world import MOST_POINTS, Broken, Interruption, World

STEPS = 40
CALM_S = 600  # of virtual time, by when every order must have ended
# Slots are short-lived here, so that expiry is seconds away and not a minute.
CHAIN = {"blockhash_valid_blocks": 20, "finality_slots": 4}


def desk_of(lab: ChainLab) -> Callable[..., TradingDesk]:
    """Opens desks on the lab's chain."""

    def open_desk(**config: Any) -> TradingDesk:
        chain = lab.open(**config)
        return TradingDesk(
            venues=chain.venues,
            chain=SimulatedNode(chain, chain.config, sleep=lab.clock.sleep),
            signer=lab.signer,
            genesis_hash=chain.genesis_hash,
            prices=chain.market.reference_prices,
            purge=chain.purge,
        )

    return open_desk


def run(
    seed: int,
    *,
    account: Account,
    clock: Any,
    open_chain: Callable[..., TradingDesk],
    scenario: Callable[[World], None] | None = None,
    bad_day: dict[str, Any] | None = None,
) -> World:
    """`scenario` (trouble, if not said) on a bad day of the chain, and then calm.

    Raises Broken, with the history, when a promise did not hold.
    """
    random.seed(seed)
    world = World(seed, account, clock, open_chain, bad_day or bad_day_of(seed))
    try:
        with watched_by(world):
            (scenario or trouble)(world)
            world.interruption = None
            chain = world.have_faults()
            calm(world)
            wait_for_whatever_still_lands(world)
            found = list(complaints(world.orders, everything_landed(chain, world)))
    except (Exception, Broken) as error:
        raise Broken(f"seed {seed}: {error!r}\n" + "\n".join(world.history)) from error
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('engine.now', '', false)")
    if found:
        raise Broken(f"seed {seed}: " + "; ".join(found) + "\n" + "\n".join(world.history))
    return world


def bad_day_of(seed: int) -> dict[str, Any]:
    dice = random.Random(f"bad day {seed}")
    delay_ms = dice.choice([0, 400, 2_000, 9_000])
    return {
        "seed": seed,
        "swap_delay_ms": (delay_ms // 2, delay_ms),
        "faults": {
            name: dice.choice([0.1, 0.3, 0.6, 1.0]) for name in FAULTS if dice.random() < 0.2
        },
        **CHAIN,
    }


def trouble(world: World) -> None:
    dice = world.dice
    for _ in range(dice.randint(1, 2)):
        world.place()
    for _ in range(STEPS):
        if dice.random() < 0.35:
            kind = dice.choice(["crash", "crash", "nap", "nap", "database"])
            world.interruption = Interruption(kind, dice.randint(1, MOST_POINTS))
        what = dice.random()
        process = dice.choice(world.processes)
        if what < 0.35:
            world.deliver_one()
        elif what < 0.5:
            world.act("sweeps", process, process.pulse.sweep)
        elif what < 0.7:
            world.act("asks", process, process.pulse.confirm)
        elif what < 0.91:
            world.pass_time(dice.choice([0.1, 0.4, 1.0, 2.0, 6.0]))
        elif what < 0.94:
            world.redis_is_away = not world.redis_is_away
        elif what < 0.96 and len(world.orders) < 3:
            world.place()
        elif what < 0.98:
            world.requeue()
        else:
            world.cancel()
        world.interruption = None


def calm(world: World) -> None:
    world.redis_is_away = False
    end = world.now + CALM_S
    while world.now < end and not all_ended(world):
        for process in list(world.processes):
            world.beat(process)
        world.pass_time(1.0)


def all_ended(world: World) -> bool:
    return not Order.objects.filter(id__in=world.orders).exclude(status__in=TERMINAL).exists()


def wait_for_whatever_still_lands(world: World) -> None:
    slots = 2 * CHAIN["blockhash_valid_blocks"] + CHAIN["finality_slots"]
    world.pass_time(slots * settings.MOCK_SLOT_MS / 1_000 + 10)


def everything_landed(chain: Chain, world: World) -> list[LandedTransaction]:
    signer = world.processes[0].desk.signer.pubkey()
    return list(chain.history(str(signer)))
