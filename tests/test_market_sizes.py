"""`manage.py market --sizes`: what orders of all sizes would be paid, as the router itself decides."""

import asyncio
import re
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from django.conf import LazySettings

from orders.market_looks import Window
from orders.quoting import label_of
from routing.answers import Answer
from routing.errors import Rejected
from routing.market import Market
from routing.meteora import Meteora
from routing.prudence import PrudentPool
from routing.registry import open_venues
from routing.route import ReferencePrices
from routing.router import Decision, Terms, decide
from routing.tokens import SOL, USDC, to_base
from routing.venue import Pair, Reading, Swap
from tests.routing.lab import pools_of
from tests.test_market_command import shown


class FeedAtSlot7000:
    """A quiet slot, as a venue reads it."""

    async def read(self, *, venue: str, pairs: Sequence[Pair]) -> Reading:
        return Reading(7_000, {})


def decided(amount: Decimal, *, leg_cost_lamports: int) -> Decision:
    """Where so much SOL goes for USDC in slot 7,000 of seed 5."""
    market = Market(seed=5)
    venues = open_venues(market, FeedAtSlot7000(), slot_ms=400)
    answers = [
        Answer(name, asyncio.run(venue.pools([(SOL, USDC)]))) for name, venue in venues.items()
    ]
    prices = ReferencePrices({t.symbol: market.price_pico_usd(t, 7_000) for t in (SOL, USDC)})
    terms = Terms(prices, network_fee_lamports=5_000, leg_cost_lamports=leg_cost_lamports)
    return decide(Swap(SOL, USDC, to_base(amount, SOL)), answers, terms)


SIZE = re.compile(
    r" *(?P<dollars>[\d,]+) +(?P<amount>[\d,.]+) +(?P<single>\w+ \w{4}) +(?P<single_pays>[\d.]+)"
    r" +(?P<chosen>\D+?) +(?P<legs>\d) +(?P<pays>[\d.]+) +(?P<improvement>[\d.]+) *"
)


def sizes(*arguments: str) -> list[re.Match[str]]:
    found = [SIZE.fullmatch(line) for line in shown("--sizes", *arguments).splitlines()]
    return [match for match in found if match is not None]


def number(printed: str) -> Decimal:
    return Decimal(printed.replace(",", ""))


def test_sizes_go_from_ten_dollars_to_five_million_in_amounts_of_three_digits() -> None:
    found = sizes("--seed", "5", "--from", "7000")

    dollars = [number(size["dollars"]) for size in found]
    assert len(dollars) == 20
    assert dollars[0] == 10
    assert dollars[-1] == pytest.approx(5_000_000, rel=0.005)
    price = Decimal(Market(seed=5).price_pico_usd(SOL, 7_000)) / 10**12
    for size, worth in zip(found, dollars, strict=True):
        amount = number(size["amount"])
        assert len(amount.normalize().as_tuple().digits) <= 3
        assert worth == pytest.approx(amount * price, abs=0.5)
    # Each is as many times as large as the one before it.
    growth = (5_000_000 / 10) ** (1 / 19)
    for smaller, larger in pairwise(dollars[3:]):
        assert float(larger / smaller) == pytest.approx(growth, rel=0.02)


@pytest.mark.parametrize("leg_cost_lamports", [20_000, 10**10])
def test_each_size_goes_where_the_router_sends_it(
    settings: LazySettings, leg_cost_lamports: int
) -> None:
    settings.LEG_COST_LAMPORTS = leg_cost_lamports

    found = sizes("--seed", "5", "--from", "7000")

    assert len(found) == 20
    for size in found:
        amount = number(size["amount"])
        decision = decided(amount, leg_cost_lamports=leg_cost_lamports)
        pool, chosen = decision.plain.legs[0].pool, decision.route
        single_out, out = (
            Decimal(route.amount_out_base) / 10**6 for route in (decision.plain, chosen)
        )
        assert size["single"] == f"{label_of(pool.venue)} {pool.address[:4]}"
        assert size["single_pays"] == f"{single_out / amount:.5g}"
        assert size["chosen"] == label_of(chosen.venue)
        assert int(size["legs"]) == len(chosen.legs)
        assert size["pays"] == f"{out / amount:.5g}"
        worth = amount * Market(seed=5).price_pico_usd(SOL, 7_000) / 10**12
        assert float(size["improvement"]) == pytest.approx(
            float((out - single_out) / worth * 10**4), abs=0.06
        )


def test_a_sentence_sums_up_what_the_choice_improves() -> None:
    printed = shown("--sizes", "--seed", "5", "--from", "7000")

    summary = re.search(r"for (\d+) of 96 sizes, by up to ([\d.]+) bps of the order's", printed)
    assert summary is not None
    gains = [float(size["improvement"]) for size in sizes("--seed", "5", "--from", "7000")]
    assert float(summary[2]) >= max(gains) > 0
    assert len([gain for gain in gains if gain]) < int(summary[1]) < 96


def test_tokens_without_a_pool_of_their_own_are_sized_over_a_hub() -> None:
    printed = shown("--sizes", "--pair", "JUP/WIF", "--seed", "1")

    assert "1 JUP in WIF" in printed
    hops = re.findall(r"(\w+ \w{4}) \+ (\w+ \w{4}) .* ([23]) +[\d.]+ +[\d.]+", printed)
    assert len(hops) == 20


def test_sizes_that_nothing_takes_are_shown_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    # Pools of bins run dry; with constant products no size is too large.
    monkeypatch.setattr("routing.registry.VENUES", (Meteora,))

    lines = [line.split() for line in shown("--sizes", "--seed", "1").splitlines()]

    refused = ["none", "takes", "it", "none:", "INSUFFICIENT_LIQUIDITY"]
    assert [line[0] for line in lines if line[2:] == refused] == [
        "1,256,534",
        "2,507,495",
        "5,001,060",
    ]


def test_a_size_that_only_several_pools_take_has_no_best_single(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("routing.registry.VENUES", (Meteora,))

    found = Window(seed=1).sizes((SOL, USDC), slot=1_000)

    together = [size for size in found if size.chosen and not size.single]
    assert together
    for size in together:
        assert size.chosen is not None and size.improvement_bps is None
        for leg in size.chosen.legs:
            assert size.through(leg.pool.address) is None
            with pytest.raises(Rejected):
                PrudentPool(leg.pool).exact_in(SOL, to_base(size.amount, SOL))


def test_a_picture_of_sizes_shows_each_pool_the_best_and_the_chosen_route(tmp_path: Path) -> None:
    drawn = tmp_path / "sizes.svg"

    printed = shown("--sizes", "--seed", "1", "--plot", str(drawn))

    picture = drawn.read_text()
    pools = [pool for venue in ("raydium", "meteora") for pool in pools_of(venue, SOL, USDC)]
    labels = [f"{pool.venue.capitalize()} {pool.address[:4]}" for pool in pools]
    told = ("Best single", "Chosen route", "SOL/USDC, seed 1, slot 1,000", "Improvement, bps")
    for label in (*labels, *told, "Size of the order, dollars"):
        assert f"<!-- {label} -->" in picture
    assert "of 96 sizes" in printed
