"""A venue that answers what a test tells it to."""

import asyncio
from collections.abc import Sequence

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from routing.pool import Pool
from routing.venue import Pair, SwapTerms


class StubVenue:
    """Has these pools, of whatever pair it is asked for; or fails with this error. None hangs until cancelled."""

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
        wanted = {frozenset(pair) for pair in pairs}
        return tuple(p for p in self.answer if frozenset((p.token_x, p.token_y)) in wanted)

    def restore(self, stored: object) -> Pool:
        raise NotImplementedError

    def instruction(self, terms: SwapTerms, *, owner: Pubkey) -> Instruction:
        raise NotImplementedError
