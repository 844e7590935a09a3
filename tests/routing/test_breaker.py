from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.breaker import Answers, State, next_state, pause, taken_back

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)
ACTIVE = State(since=LONG_AGO)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def answers(*seconds: tuple[float, int, int]) -> list[Answers]:
    """How long ago, how many asked, how many of them failed."""
    return [Answers(ago(second), asked, failed) for second, asked, failed in seconds]


def in_seconds(span: timedelta) -> float:
    return span.total_seconds()


@pytest.mark.parametrize(
    ("heard", "is_set_aside"),
    [
        pytest.param([], False, id="nothing was heard"),
        pytest.param([(1, 10, 5)], True, id="half of ten failed"),
        pytest.param([(1, 11, 5)], False, id="less than half failed"),
        pytest.param([(1, 9, 6)], False, id="nine are too few for a share"),
        pytest.param([(9, 5, 1), (1, 5, 4)], True, id="the seconds of the window add up"),
        pytest.param([(30, 10, 5), (1, 1, 0)], False, id="what came since counts for the share"),
        pytest.param([(30, 10, 9)], True, id="the window's first second counts"),
        pytest.param([(30.1, 10, 9)], False, id="what is older does not"),
        pytest.param([(1, 4, 4)], False, id="four in a row may be bad luck"),
        pytest.param([(1, 5, 5)], True, id="five in a row are enough"),
        pytest.param([(20, 1, 1), (9, 1, 1), (7, 2, 2), (1, 1, 1)], True, id="however slowly"),
        pytest.param([(3, 4, 4), (2, 1, 0), (1, 4, 4)], False, id="a good one ends a row"),
        pytest.param([(9, 90, 0), (1, 5, 5)], True, id="however good it was before"),
        pytest.param([(9, 90, 0), (1, 6, 5)], False, id="as long as all of a second failed"),
    ],
)
def test_a_venue_is_set_aside_when_it_keeps_failing(
    heard: list[tuple[float, int, int]], is_set_aside: bool
) -> None:
    state = next_state(ACTIVE, answers(*heard), now=NOW)

    expected = State(since=NOW, until=NOW + timedelta(seconds=5)) if is_set_aside else ACTIVE
    assert state == expected


def test_what_was_answered_before_it_was_taken_back_counts_no_more() -> None:
    state = taken_back(now=ago(3))

    assert next_state(state, answers((5, 100, 100), (2, 4, 4)), now=NOW) == State(since=ago(3))
    assert next_state(state, answers((5, 100, 100), (2, 5, 5)), now=NOW).is_set_aside


@given(
    st.dictionaries(
        st.integers(0, 40), st.tuples(st.integers(1, 6), st.integers(0, 6)), max_size=8
    ).flatmap(
        lambda heard: st.permutations(
            [(second, asked, min(asked, failed)) for second, (asked, failed) in heard.items()]
        )
    )
)
def test_the_order_in_which_answers_come_decides_nothing(
    heard: list[tuple[int, int, int]],
) -> None:
    shuffled = next_state(ACTIVE, answers(*heard), now=NOW)

    assert shuffled == next_state(ACTIVE, answers(*sorted(heard)), now=NOW)


def test_the_pause_doubles_with_each_failed_probe_up_to_a_minute() -> None:
    assert [in_seconds(pause(failed)) for failed in range(7)] == [5, 10, 20, 40, 60, 60, 60]
    assert in_seconds(pause(10**6)) == 60


def test_a_venue_that_is_set_aside_is_probed_once_its_pause_is_over_and_not_before() -> None:
    state = State(since=ago(5), until=NOW)

    assert next_state(state, [], now=ago(0.001)) == state
    probed = next_state(state, [], now=NOW)
    assert probed == State(since=ago(5), until=NOW + timedelta(seconds=10), failed_probes=1)
    assert next_state(probed, [], now=NOW) == probed


@given(st.lists(st.floats(0, 300, allow_nan=False), max_size=20))
def test_whenever_somebody_looks_a_venue_is_probed_once_in_a_pause(looks: list[float]) -> None:
    state, probed_at = State(since=NOW, until=NOW + timedelta(seconds=5)), NOW
    for look in sorted(looks):
        now = NOW + timedelta(seconds=look)
        following = next_state(state, answers((0, 100, 100)), now=now)
        if following != state:
            assert now - probed_at >= pause(state.failed_probes)
            assert following.failed_probes == state.failed_probes + 1
            state, probed_at = following, now
        else:
            assert now - probed_at < pause(state.failed_probes)


def test_a_venue_that_is_taken_back_starts_with_the_shortest_pause_again() -> None:
    failing = answers((0, 5, 5))

    again = next_state(taken_back(now=ago(1)), failing, now=NOW)

    assert again == State(since=NOW, until=NOW + timedelta(seconds=5), failed_probes=0)
