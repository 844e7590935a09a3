import asyncio

import pytest

from routing.answers import collect
from routing.exchange import simulated_exchange
from routing.simulation import SimulatedFeed, SimulationConfig
from routing.tokens import SOL, USDC
from routing.venue import Reading
from tests.routing.lab import ChainLab

PAIRS = ((SOL, USDC),)
READING = Reading(7, {"pool": -3})


def feed_of(config: SimulationConfig) -> SimulatedFeed:
    """A feed that knows what it reads."""

    def never() -> Reading:
        raise AssertionError("asked the chain for what is known")

    return SimulatedFeed(config, never, lambda: READING)


async def hung(feed: SimulatedFeed) -> bool:
    asking = asyncio.create_task(feed.read(venue="raydium", pairs=PAIRS))
    done, _pending = await asyncio.wait([asking], timeout=0.005)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    return not done


def hangs(config: SimulationConfig, quotes: int) -> list[bool]:
    async def ask() -> list[bool]:
        feed = feed_of(config)
        return [await hung(feed) for _ in range(quotes)]

    return asyncio.run(ask())


def test_an_exchange_quotes_at_its_chain_s_slot_without_a_sleep(
    lab: ChainLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_sleep(delay: float) -> None:
        raise AssertionError("slept")

    monkeypatch.setattr("routing.simulation.asyncio.sleep", no_sleep)
    exchange = simulated_exchange(
        SimulationConfig(quote_delay_ms=0), lab.conninfo, pool_size=1, clock=lab.clock
    )

    found = asyncio.run(collect(exchange.venues.values(), [PAIRS], deadline_s=5))

    slot = exchange.chain.head().slot
    assert [a.venue for a in found[PAIRS]] == list(exchange.venues) == ["raydium", "meteora"]
    assert all({pool.slot for pool in a.pools} == {slot} for a in found[PAIRS])
    exchange.close()


def test_a_quote_takes_its_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(delay: float) -> None:
        slept.append(delay)

    monkeypatch.setattr("routing.simulation.asyncio.sleep", sleep)
    feed = feed_of(SimulationConfig(quote_delay_ms=200))

    assert asyncio.run(feed.read(venue="raydium", pairs=PAIRS)) == READING
    assert slept == [0.2]


def test_quotes_hang_as_the_seed_says() -> None:
    config = SimulationConfig(quote_delay_ms=0, fault_rate=0.5, seed=1)

    first = hangs(config, 12)

    assert first == hangs(config, 12)
    assert 0 < sum(first) < 12
    assert first != hangs(SimulationConfig(quote_delay_ms=0, fault_rate=0.5, seed=2), 12)


def test_every_quote_hangs_at_a_fault_rate_of_1_and_none_at_0() -> None:
    assert all(hangs(SimulationConfig(quote_delay_ms=0, fault_rate=1), 3))
    assert not any(hangs(SimulationConfig(quote_delay_ms=0), 3))


def test_faults_strike_as_often_as_the_rate_says() -> None:
    config = SimulationConfig(fault_rate=0.1)

    struck = sum(config.strikes("dropped", n, 1) for n in range(10_000))

    assert 850 < struck < 1_150


def test_landing_delays_stay_within_their_bounds() -> None:
    config = SimulationConfig(swap_delay_ms=(2_000, 2_003))

    assert {config.landing_delay_ms(str(n)) for n in range(200)} == {2_000, 2_001, 2_002, 2_003}


@pytest.mark.parametrize(
    "settings",
    [
        {"swap_delay_ms": (3, 2)},
        {"swap_delay_ms": (-1, 2)},
        {"fault_rate": 1.1},
        {"fault_rate": -0.1},
        {"quote_delay_ms": -1},
        {"slot_ms": 0},
        {"blockhash_valid_blocks": 0},
        {"finality_slots": -1},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"0 or more|between"):
        SimulationConfig(**settings)  # type: ignore[arg-type]
