"""Answers while some venues are set aside: those are not asked, unless a swap finds no way without them.

So whoever is set aside costs orders no time, and no order fails for its absence.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from routing.answers import Answer, collect
from routing.router import has_way, pairs_of
from routing.venue import Pair, Swap, Venue

VENUE_SET_ASIDE = "VENUE_SET_ASIDE"


async def collect_around(
    venues: Iterable[Venue],
    swaps: Iterable[Swap],
    *,
    set_aside: Mapping[str, datetime],
    deadline_s: float,
) -> dict[tuple[Pair, ...], tuple[Answer, ...]]:
    """One answer per venue for the pairs of each swap, like `collect`; those of venues that are set aside come last.

    `set_aside` says until when, by name. If a swap has no way through the others' pools, those set aside are asked for
    its pairs, too, under a second deadline of the same length; else they answer with the error VENUE_SET_ASIDE.
    """
    venues = list(venues)
    active = [venue for venue in venues if venue.name not in set_aside]
    resting = [venue for venue in venues if venue.name in set_aside]
    pairs = {swap: pairs_of(swap) for swap in swaps}
    answers = await collect(active, pairs.values(), deadline_s=deadline_s)
    if not resting:
        return answers
    stranded = [group for swap, group in pairs.items() if not has_way(swap, answers[group])]
    not_asked = tuple(_not_asked(venue, set_aside[venue.name]) for venue in resting)
    of_resting = dict.fromkeys(answers, not_asked)
    of_resting |= await collect(resting, stranded, deadline_s=deadline_s)
    return {group: (*found, *of_resting[group]) for group, found in answers.items()}


def _not_asked(venue: Venue, until: datetime) -> Answer:
    sentence = (
        f"{venue.label} kept failing, and is set aside until {until.astimezone(UTC):%H:%M:%S} UTC"
    )
    return Answer(venue.name, error_code=VENUE_SET_ASIDE, error=sentence, retryable=True)
