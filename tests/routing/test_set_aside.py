"""Venues that are set aside are left alone, and no swap fails for their absence."""

import asyncio
from datetime import UTC, datetime

from routing.answers import Answer
from routing.cpmm import CpmmPool
from routing.errors import Unavailable
from routing.router import pairs_of
from routing.set_aside import VENUE_SET_ASIDE, collect_around
from routing.tokens import SOL, TOKENS, USDC, Token
from routing.venue import Swap
from tests.routing.stub_venue import StubVenue

UNTIL = datetime(2026, 11, 25, 7, 41, 5, tzinfo=UTC)
JUP, BONK = TOKENS["JUP"], TOKENS["BONK"]
SELL = Swap(SOL, USDC, 10**9)
EXOTIC = Swap(JUP, BONK, 10**6)
DOWN = Unavailable("VENUE_DOWN", "down")


def a_pool(token_x: Token, token_y: Token) -> CpmmPool:
    name = f"{token_x.symbol}/{token_y.symbol}"
    return CpmmPool("a", name, token_x, token_y, 1, 10**15, 10**15, 0)


OF_SELL = a_pool(SOL, USDC)
OF_EXOTIC = a_pool(JUP, BONK)


def answered(venues: list[StubVenue], *swaps: Swap, set_aside: set[str]) -> list[list[Answer]]:
    """What each swap has to choose from."""
    found = asyncio.run(
        collect_around(venues, swaps, set_aside=dict.fromkeys(set_aside, UNTIL), deadline_s=1)
    )
    return [list(found[pairs_of(swap)]) for swap in swaps]


def outcome(answer: Answer) -> str:
    return answer.error_code or ", ".join(pool.address for pool in answer.pools)


def test_a_venue_that_is_set_aside_is_not_asked_and_its_answer_says_why() -> None:
    resting, sound = StubVenue("resting", (OF_SELL,)), StubVenue("sound", (OF_SELL,))

    ((first, last),) = answered([resting, sound], SELL, set_aside={"resting"})

    assert (resting.asked, sound.asked) == ([], [pairs_of(SELL)])
    assert (first.venue, outcome(first)) == ("sound", "SOL/USDC")
    assert last == Answer(
        "resting",
        error_code=VENUE_SET_ASIDE,
        error="Resting kept failing, and is set aside until 07:41:05 UTC",
        retryable=True,
    )
    assert last.took_ms is None


def test_when_all_are_set_aside_all_are_asked() -> None:
    venues = [StubVenue("a", (OF_SELL,)), StubVenue("b", (OF_SELL,))]

    (answers,) = answered(venues, SELL, set_aside={"a", "b"})

    assert [venue.asked for venue in venues] == [[pairs_of(SELL)]] * 2
    assert [outcome(answer) for answer in answers] == ["SOL/USDC", "SOL/USDC"]


def test_a_swap_that_nobody_else_has_a_pool_for_is_asked_of_those_set_aside_and_no_other_is() -> (
    None
):
    resting, sound = StubVenue("resting", (OF_SELL, OF_EXOTIC)), StubVenue("sound", (OF_SELL,))

    of_exotic, of_sell = answered([sound, resting], EXOTIC, SELL, set_aside={"resting"})

    assert resting.asked == [pairs_of(EXOTIC)]
    assert [outcome(each) for each in of_exotic] == ["", "JUP/BONK"]
    assert [outcome(each) for each in of_sell] == ["SOL/USDC", VENUE_SET_ASIDE]


def test_half_a_way_over_a_hub_is_none_so_those_set_aside_are_asked() -> None:
    first_hop, second_hop = a_pool(JUP, SOL), a_pool(SOL, BONK)
    resting, half = StubVenue("resting", (second_hop,)), StubVenue("half", (first_hop,))

    (answers,) = answered([half, resting], EXOTIC, set_aside={"resting"})

    assert [outcome(each) for each in answers] == ["JUP/SOL", "SOL/BONK"]


def test_a_whole_way_over_a_hub_is_one_so_those_set_aside_are_left_alone() -> None:
    whole = StubVenue("whole", (a_pool(JUP, SOL), a_pool(SOL, BONK)))
    resting = StubVenue("resting", (OF_EXOTIC,))

    (answers,) = answered([whole, resting], EXOTIC, set_aside={"resting"})

    assert [outcome(each) for each in answers] == ["JUP/SOL, SOL/BONK", VENUE_SET_ASIDE]


def test_a_pool_that_pays_nothing_is_no_way_so_those_set_aside_are_asked() -> None:
    # One part of USDC for a thousand of SOL: a single one of SOL is worth less than one.
    dear = CpmmPool("a", "dear", SOL, USDC, 1, 10**15, 10**12, 0)
    resting, sound = StubVenue("resting", (OF_SELL,)), StubVenue("sound", (dear,))
    little, enough = Swap(SOL, USDC, 2), Swap(SOL, USDC, 10**6)

    (of_little,) = answered([sound, resting], little, set_aside={"resting"})
    (of_enough,) = answered([sound, resting], enough, set_aside={"resting"})

    assert [outcome(each) for each in of_little] == ["dear", "SOL/USDC"]
    assert [outcome(each) for each in of_enough] == ["dear", VENUE_SET_ASIDE]


def test_those_set_aside_are_asked_while_all_others_are_down() -> None:
    resting, down = StubVenue("resting", (OF_SELL,)), StubVenue("down", DOWN)

    (answers,) = answered([resting, down], SELL, set_aside={"resting"})

    assert [outcome(answer) for answer in answers] == ["VENUE_DOWN", "SOL/USDC"]


def test_a_venue_that_is_gone_but_still_set_aside_is_nobody() -> None:
    (answers,) = answered([StubVenue("a", (OF_SELL,))], SELL, set_aside={"gone"})

    assert [answer.venue for answer in answers] == ["a"]


def test_no_swap_needs_no_answer() -> None:
    assert answered([StubVenue("a", ())], set_aside={"a"}) == []
