import asyncio
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from routing.errors import Rejected, Unavailable
from routing.router import Candidate, choose, collect_quotes, min_amount_out
from routing.tokens import SOL, USDC
from routing.venue import Quote, Swap

SWAP = Swap(SOL, USDC, 10**9)


def a_quote(venue: str, *, net: int = 1_000_000, depth: int = 10**9, network_fee: int = 0) -> Quote:
    return Quote(
        venue=venue,
        pool=f"pool of {venue}",
        amount_in_base=10**9,
        amount_out_base=net + network_fee,
        fee_base=0,
        network_fee_base=network_fee,
        price_impact_bps=0,
        depth_base=depth,
        slot=1,
    )


def quoted(
    venue: str, *, net: int = 1_000_000, depth: int = 10**9, network_fee: int = 0
) -> Candidate:
    quote = a_quote(venue, net=net, depth=depth, network_fee=network_fee)
    return Candidate(venue, quote=quote)


def failed(venue: str, code: str, *, retryable: bool) -> Candidate:
    return Candidate(venue, error_code=code, error=f"{venue} says {code}", retryable=retryable)


class StubVenue:
    """Answers with what it was given; None hangs until cancelled."""

    program_id = Pubkey.default()

    def __init__(self, name: str, answer: Quote | Exception | None) -> None:
        self.name = name
        self.label = name.title()
        self.answer = answer
        self.was_cancelled = False

    async def quote(self, swap: Swap) -> Quote:
        if self.answer is None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                # Work that takes its time to stop: the router must wait for it.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                self.was_cancelled = True
                raise
        if isinstance(self.answer, Exception):
            raise self.answer
        assert self.answer is not None
        return self.answer

    def instruction(
        self, *, pool: str, swap: Swap, min_amount_out_base: int, owner: Pubkey
    ) -> Instruction:
        raise NotImplementedError


def test_the_best_net_output_wins_and_losers_say_why() -> None:
    route = choose([quoted("a", net=1_000_000), quoted("b", net=1_010_000)])

    assert route.winner.venue == "b"
    assert [c.venue for c in route.candidates] == ["a", "b"]
    assert route.candidates[1].lost_because is None
    # 10,000 of 1,010,000 is 99.0099 bps, rounded up.
    assert route.candidates[0].lost_because == (
        "net output 99.01 bps below b, after the pool's and the network's fees"
    )


def test_the_network_fee_decides_between_equal_outputs() -> None:
    dear = quoted("a", net=900_000, network_fee=100_000)
    cheap = quoted("b", net=990_000, network_fee=10_000)

    assert choose([dear, cheap]).winner.venue == "b"


@pytest.mark.parametrize(
    ("net", "winner"), [(1_000_000 - 500, "deep"), (1_000_000 - 501, "shallow")]
)
def test_a_near_tie_goes_to_the_deeper_pool(net: int, winner: str) -> None:
    route = choose([quoted("shallow", depth=1), quoted("deep", net=net, depth=2)])

    assert route.winner.venue == winner
    if winner == "deep":
        assert route.candidates[0].lost_because == (
            "net output within 5 bps of deep, whose pool is deeper"
        )


@given(
    st.lists(
        st.tuples(st.integers(-(10**6), 10**12), st.integers(1, 10**15)),
        min_size=1,
        max_size=4,
    )
)
def test_the_winner_is_never_more_than_the_tie_below_the_best(
    offers: list[tuple[int, int]],
) -> None:
    candidates = [quoted(str(n), net=net, depth=depth) for n, (net, depth) in enumerate(offers)]
    best = max(net for net, _depth in offers)

    winners = {choose(order).winner for order in permutations(candidates)}

    assert len(winners) == 1, "the order of the candidates decided"
    winner = winners.pop()
    assert (best - winner.net_out_base) * 10_000 <= abs(best) * 5
    route = choose(candidates)
    assert [c.lost_because is None for c in route.candidates] == [
        c.quote is winner for c in candidates
    ]


def test_one_quote_is_enough() -> None:
    route = choose([failed("a", "QUOTE_TIMEOUT", retryable=True), quoted("b")])

    assert route.winner.venue == "b"
    assert route.candidates[0].lost_because == "no quote: a says QUOTE_TIMEOUT"


@pytest.mark.parametrize(
    ("candidates", "kind", "code"),
    [
        (
            [failed("a", "NO_POOL", retryable=False), failed("b", "QUOTE_TIMEOUT", retryable=True)],
            Unavailable,
            "NO_QUOTE",
        ),
        (
            [failed("a", "NO_POOL", retryable=False), failed("b", "NO_POOL", retryable=False)],
            Rejected,
            "NO_ROUTE",
        ),
        (
            [
                failed("a", "NO_POOL", retryable=False),
                failed("b", "AMOUNT_TOO_SMALL", retryable=False),
            ],
            Rejected,
            "AMOUNT_TOO_SMALL",
        ),
        ([], Rejected, "NO_ROUTE"),
    ],
)
def test_no_quote_at_all_says_whether_to_try_again(
    candidates: list[Candidate], kind: type[Exception], code: str
) -> None:
    with pytest.raises((Unavailable, Rejected)) as error:
        choose(candidates)

    assert type(error.value) is kind
    assert error.value.code == code


def test_a_late_venue_is_left_out_cancelled_and_awaited() -> None:
    late = StubVenue("late", None)

    candidates = asyncio.run(
        collect_quotes([late, StubVenue("fast", a_quote("fast"))], SWAP, deadline_s=0.01)
    )

    assert candidates[0] == Candidate(
        "late",
        error_code="QUOTE_TIMEOUT",
        error="Late did not answer within 0.01 s",
        retryable=True,
    )
    assert candidates[1].quote == a_quote("fast")
    assert late.was_cancelled


def test_each_kind_of_failure_becomes_a_candidate() -> None:
    venues = [
        StubVenue("final", Rejected("NO_POOL", "no pool")),
        StubVenue("later", Unavailable("RPC_UNAVAILABLE", "away")),
        StubVenue("broken", KeyError("secret")),
    ]

    final, later, broken = asyncio.run(collect_quotes(venues, SWAP, deadline_s=1))

    assert (final.error_code, final.error, final.retryable) == ("NO_POOL", "no pool", False)
    assert (later.error_code, later.error, later.retryable) == ("RPC_UNAVAILABLE", "away", True)
    assert (broken.error_code, broken.retryable) == ("QUOTE_FAILED", True)
    assert broken.error == "Broken failed to quote (KeyError)"


def test_venues_are_asked_at_once() -> None:
    both_asked = asyncio.Barrier(2)

    class Meeting(StubVenue):
        async def quote(self, swap: Swap) -> Quote:
            await both_asked.wait()
            return a_quote(self.name)

    candidates = asyncio.run(
        collect_quotes([Meeting("a", None), Meeting("b", None)], SWAP, deadline_s=2)
    )

    assert all(candidate.quote for candidate in candidates)


def test_a_cancelled_caller_leaves_nothing_running() -> None:
    late = StubVenue("late", None)

    async def cancel_while_waiting() -> None:
        asking = asyncio.create_task(collect_quotes([late], SWAP, deadline_s=60))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert late.was_cancelled

    asyncio.run(cancel_while_waiting())


@given(st.integers(0, 2**64), st.integers(0, 10_000))
def test_the_minimum_output_is_rounded_up(amount_out: int, slippage_bps: int) -> None:
    minimum = min_amount_out(amount_out, slippage_bps)

    assert minimum * 10_000 >= amount_out * (10_000 - slippage_bps) > (minimum - 1) * 10_000
    assert minimum <= amount_out


@pytest.mark.parametrize("slippage_bps", [-1, 10_001])
def test_a_slippage_limit_beyond_reason_is_refused(slippage_bps: int) -> None:
    with pytest.raises(ValueError, match="slippage_bps"):
        min_amount_out(1, slippage_bps)
