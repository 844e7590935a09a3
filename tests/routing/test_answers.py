"""Venues are asked all at once, under one deadline; whatever goes wrong with one is its answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from routing.answers import Answer, collect
from routing.errors import Rejected, Unavailable
from routing.pool import Pool
from routing.tokens import SOL, TOKENS, USDC
from routing.venue import Pair, SwapTerms
from tests.routing.lab import pools_of

PAIRS: tuple[Pair, ...] = ((SOL, USDC),)
POOLS = pools_of("raydium", SOL, USDC)


class StubVenue:
    """Answers with what it was given; None hangs until cancelled."""

    program_id = Pubkey.default()

    def __init__(self, name: str, answer: tuple[Pool, ...] | Exception | None) -> None:
        self.name = name
        self.label = name.title()
        self.answer = answer
        self.was_cancelled = False
        self.asked: list[Sequence[Pair]] = []

    async def pools(self, pairs: Sequence[Pair]) -> tuple[Pool, ...]:
        self.asked.append(pairs)
        if self.answer is None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                # Work that takes its time to stop: whoever asked must wait for it.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                self.was_cancelled = True
                raise
        if isinstance(self.answer, Exception):
            raise self.answer
        assert self.answer is not None
        return self.answer

    def restore(self, stored: object) -> Pool:
        raise NotImplementedError

    def instruction(self, terms: SwapTerms, *, owner: Pubkey) -> Instruction:
        raise NotImplementedError


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
