"""Venues are asked all at once, under one deadline; whatever goes wrong with one is its answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from routing.answers import Answer, collect
from routing.errors import Rejected, Unavailable
from routing.pool import Pool
from routing.tokens import SOL, TOKENS, USDC
from routing.venue import Pair
from tests.routing.lab import pools_of
from tests.routing.stub_venue import StubVenue
from tests.simulation import virtual_loop

PAIRS: tuple[Pair, ...] = ((SOL, USDC),)
POOLS = pools_of("raydium", SOL, USDC)


def ask(*venues: StubVenue, deadline_s: float = 1) -> tuple[Answer, ...]:
    return asyncio.run(collect(venues, [PAIRS], deadline_s=deadline_s))[PAIRS]


def test_a_late_venue_is_left_out_cancelled_and_awaited() -> None:
    late = StubVenue("late", None)

    answers = ask(late, StubVenue("fast", POOLS), deadline_s=0.01)

    assert answers[0] == Answer(
        "late",
        error_code="QUOTE_TIMEOUT",
        error="Late did not answer within 0.01 s",
        retryable=True,
    )
    assert answers[0].took_ms == 10
    assert answers[1] == Answer("fast", POOLS)
    assert late.was_cancelled


def test_each_kind_of_failure_becomes_an_answer() -> None:
    final, later, broken = ask(
        StubVenue("final", Rejected("DELISTED", "delisted")),
        StubVenue("later", Unavailable("RPC_UNAVAILABLE", "away")),
        StubVenue("broken", KeyError("secret")),
    )

    assert final == Answer("final", error_code="DELISTED", error="delisted")
    assert later == Answer("later", error_code="RPC_UNAVAILABLE", error="away", retryable=True)
    assert (broken.error_code, broken.retryable) == ("QUOTE_FAILED", True)
    assert broken.error == "Broken failed to quote (KeyError)"


@pytest.mark.parametrize(
    ("answer", "is_failure"),
    [
        (Answer("a", POOLS), False),
        (Answer("a"), False),
        (Answer("a", error_code="QUOTE_TIMEOUT", retryable=True), True),
        (Answer("a", error_code="DELISTED", retryable=False), False),
    ],
)
def test_what_may_pass_is_a_failure_and_a_final_answer_is_none(
    answer: Answer, is_failure: bool
) -> None:
    assert answer.is_failure is is_failure


def test_each_answer_tells_how_long_it_took_or_was_waited_for() -> None:
    class Slow(StubVenue):
        async def pools(self, pairs: Sequence[Pair]) -> tuple[Pool, ...]:
            await asyncio.sleep(0.04)
            return await super().pools(pairs)

    venues = [
        StubVenue("fast", POOLS),
        Slow("slow", POOLS),
        Slow("away", Unavailable("RPC_UNAVAILABLE", "away")),
        Slow("broken", KeyError("secret")),
        StubVenue("late", None),
    ]
    found = virtual_loop.run(collect(venues, [PAIRS], deadline_s=0.1), timeout_s=1)

    assert [answer.took_ms for answer in found[PAIRS]] == [0, 40, 40, 40, 100]


def test_venues_are_asked_at_once() -> None:
    async def ask_both() -> tuple[Answer, ...]:
        both_asked = asyncio.Barrier(2)

        class Meeting(StubVenue):
            async def pools(self, pairs: Sequence[Pair]) -> tuple[Pool, ...]:
                await both_asked.wait()
                return POOLS

        found = await collect([Meeting("a", None), Meeting("b", None)], [PAIRS], deadline_s=2)
        return found[PAIRS]

    assert [replace(answer, took_ms=0) for answer in asyncio.run(ask_both())] == [
        Answer("a", POOLS),
        Answer("b", POOLS),
    ]


def test_each_group_of_pairs_is_asked_for_once_however_many_orders_want_it() -> None:
    venue, others = StubVenue("a", POOLS), ((TOKENS["JUP"], SOL),)

    found = asyncio.run(collect([venue], [PAIRS, others, PAIRS, PAIRS], deadline_s=1))

    assert venue.asked == [PAIRS, others]
    assert set(found) == {PAIRS, others}


def test_a_cancelled_caller_leaves_nothing_running() -> None:
    late = StubVenue("late", None)

    async def cancel_while_waiting() -> None:
        asking = asyncio.create_task(collect([late], [PAIRS], deadline_s=60))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert late.was_cancelled

    asyncio.run(cancel_while_waiting())
