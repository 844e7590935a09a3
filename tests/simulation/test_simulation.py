"""The deterministic simulation: many seeds hold, a seed replays exactly, and each planted bug is found."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from orders.models import Account
from tests.routing.lab import ChainLab
from tests.simulation import run
from tests.simulation.bugs import BUGS, planted
from tests.simulation.world import Broken, Interruption, World

SEEDS = 1_000
SEEDS_PER_BUG = 300
POINTS_OF_AN_EXECUTION = 15  # at the least: before and after each statement and call

in_this_process = pytest.mark.django_db(transaction=True)
Simulate = Callable[..., World]


@pytest.fixture
def simulate(account: Account, lab: ChainLab) -> Iterator[Simulate]:
    def simulate(seed: int, **changes: Any) -> World:
        lab.restart()
        desk = run.desk_of(lab)
        return run.run(seed, account=account, clock=lab.clock, open_chain=desk, **changes)

    yield simulate


def test_a_thousand_seeds_hold() -> None:
    command = [sys.executable, "-m", "tests.simulation", "--seeds", str(SEEDS), "--server"]

    simulation = subprocess.run(command, capture_output=True, text=True, timeout=1_200)

    assert simulation.returncode == 0, simulation.stdout[-5_000:] + simulation.stderr[-2_000:]
    assert f"{SEEDS} seeds from 0: 0 broken" in simulation.stdout


@in_this_process
@pytest.mark.parametrize("kind", ["crash", "nap", "database"])
def test_whatever_happens_at_any_single_point_the_order_swaps_once(
    simulate: Simulate, kind: str
) -> None:
    for nth in count(1):

        def scenario(world: World, nth: int = nth) -> None:
            world.place()
            world.interruption = Interruption(kind, nth)
            world.execute(world.processes[0], world.orders[0])

        world = simulate(1, scenario=scenario, bad_day={"seed": 1, **run.CHAIN})
        if not any(line.startswith(f"  {kind}") for line in world.history):
            break

    assert nth > POINTS_OF_AN_EXECUTION


@in_this_process
@pytest.mark.parametrize("seed", [3, 14, 159])
def test_a_seed_replays_exactly(simulate: Simulate, seed: int) -> None:
    assert simulate(seed).history == simulate(seed).history


FOUND_BY = {
    "drop_the_fence": "without a lease",
    "rebuild_instead_of_resend": "sent what was not committed",
    "retry_without_proof": "swapped 2 times|its swap landed",
    "silence_is_death": "swapped 2 times|its swap landed",
    "publish_before_commit": "announced inside a transaction",
    "forget_to_renew_leases": "was taken from .* which is alive",
    "cancel_after_commit": "is cancelled, but its swap landed",
    "claim_what_is_not_due": "was taken from .* which is alive",
    "requeue_what_is_held": "was taken from .* which is alive",
    "sweep_nothing": "is stuck in pending",
}


@in_this_process
@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(simulate: Simulate, bug: str) -> None:
    with planted(bug), pytest.raises(Broken, match=FOUND_BY[bug]):
        for seed in range(SEEDS_PER_BUG):
            simulate(seed)
