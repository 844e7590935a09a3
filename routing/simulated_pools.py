"""The pools of one simulated venue: where they live, and what state each is in at a slot.

A state is the anchor, which follows from seed and slot alone, moved by what recent swaps left in the pool. What it
refuses: to know what a pool holds or pays, how a program writes its instructions, or another venue.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations, permutations, product
from typing import Final, Protocol

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from routing.errors import Rejected
from routing.market import Market
from routing.pool import MAX_U64, Pool, too_large
from routing.spl import mint_of
from routing.tokens import SOL, TOKENS, USDC, Token
from routing.venue import AccountFeed, Pair, Swap, SwapTerms, Venue


class SimulatedPool(Pool, Protocol):
    """A pool's state that swaps of others move."""

    def pushed(self, x_base: int) -> "SimulatedPool":
        """The state after others moved a net `x_base` of token X in (negative: out), without fees."""


class Listing(Protocol):
    """A pool that a venue has of every pair: where it lives, and what it holds."""

    def address(self, program_id: Pubkey, mint_x: Pubkey, mint_y: Pubkey) -> Pubkey:
        """Where the program puts the pair's pool, so it is the same in every market."""

    def state(self, pool: "Listed", market: Market, *, slot: int, slot_ms: int) -> SimulatedPool:
        """The pool at `slot`, as seed and slot alone decide it."""


# The two of `SwapTerms.amounts`, at the end of an instruction's data.
_AMOUNTS_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Listed:
    """A venue's pool of a pair. Token X has the lower mint, in bytes, as Raydium's program demands."""

    venue: str
    address: str
    token_x: Token
    token_y: Token
    listing: Listing


class SimulatedPools:
    """SOL against every other token, and USDC against every other, with a pool for each listing."""

    def __init__(
        self,
        venue: Venue,
        listings: Sequence[Listing],
        *,
        market: Market,
        feed: AccountFeed,
        slot_ms: int,
    ) -> None:
        self._venue = venue
        self._market = market
        self._feed = feed
        self._slot_ms = slot_ms
        self._by_address: dict[str, Listed] = {}
        self._by_pair: dict[frozenset[Token], tuple[Listed, ...]] = {}
        for pair in _listed_pairs():
            pools = tuple(_listed(venue, *pair, listing) for listing in listings)
            self._by_pair[frozenset(pair)] = pools
            self._by_address |= {pool.address: pool for pool in pools}
        # Bounded: a slot's states are asked for while it is new, by many. One with bins takes 6 kB.
        self._cached_state = lru_cache(maxsize=1_024)(self._state)
        self._cached_said = lru_cache(maxsize=4_096)(self._said)

    def for_pair(self, a: Token, b: Token) -> tuple[Listed, ...]:
        """The pair's pools, in the order of the listings, whichever token comes first. Empty if there are none."""
        return self._by_pair.get(frozenset((a, b)), ())

    def at(self, address: str) -> Listed:
        """The pool at an address. Raises `Rejected` (`NO_POOL`)."""
        pool = self._by_address.get(address)
        if pool is None:
            raise Rejected("NO_POOL", f"{self._venue.name} has no pool at {address}")
        return pool

    def checked(self, terms: SwapTerms) -> Listed:
        """The pool that executes these terms. Raises `Rejected` (`NO_POOL`, `AMOUNT_TOO_LARGE`)."""
        pool, swap = self.at(terms.pool), terms.swap
        if pool not in self.for_pair(swap.token_in, swap.token_out):
            pair = f"{swap.token_in.symbol}/{swap.token_out.symbol}"
            raise Rejected("NO_POOL", f"{terms.pool} is no pool of {self._venue.name} for {pair}")
        if max(swap.amount_in_base, terms.min_amount_out_base) > MAX_U64:
            raise too_large()
        return pool

    async def now(self, pairs: Sequence[Pair]) -> tuple[Pool, ...]:
        """All pools of these pairs, as the venue's accounts are read now. Waits and raises as the feed does."""
        reading = await self._feed.read(venue=self._venue.name, pairs=pairs)
        return tuple(
            self.state(
                pool.address,
                slot=reading.slot,
                moved_x_base=reading.displaced_x_base.get(pool.address, 0),
            )
            for pair in pairs
            for pool in self.for_pair(*pair)
        )

    def state(self, address: str, *, slot: int, moved_x_base: int = 0) -> SimulatedPool:
        """A pool at `slot`, once swaps moved a net `moved_x_base` of X in (negative: out).

        Raises `Rejected` (`NO_POOL`).
        """
        return self._cached_state(address, slot, moved_x_base)

    def read_back(self, instruction: Instruction) -> SwapTerms:
        """The terms for which the venue writes this very instruction, whose data end with `SwapTerms.amounts`.

        Another pool's vault or an account too many is refused. Raises `Rejected` (`MALFORMED_INSTRUCTION`).
        """
        data = bytes(instruction.data)
        accounts = tuple([account.pubkey for account in instruction.accounts])
        owners = tuple([account.pubkey for account in instruction.accounts if account.is_signer])
        said = self._cached_said(data[:-_AMOUNTS_BYTES], accounts, owners)
        if said is None or len(data) < _AMOUNTS_BYTES:
            name = self._venue.name
            raise Rejected("MALFORMED_INSTRUCTION", f"{name} would not write such an instruction")
        amount_in_base = int.from_bytes(data[-16:-8], "little")
        min_amount_out_base = int.from_bytes(data[-8:], "little")
        return SwapTerms(
            said.pool, replace(said.swap, amount_in_base=amount_in_base), min_amount_out_base
        )

    def _said(
        self, tag: bytes, accounts: tuple[Pubkey, ...], owners: tuple[Pubkey, ...]
    ) -> SwapTerms | None:
        """The terms, but for the amounts, for which the venue names these accounts after this tag."""
        pools = [self._by_address[text] for text in map(str, accounts) if text in self._by_address]
        for pool, owner in product(pools, owners):
            for token_in, token_out in permutations((pool.token_x, pool.token_y)):
                terms = SwapTerms(pool.address, Swap(token_in, token_out, 0), 0)
                written = self._venue.instruction(terms, owner=owner)
                named = tuple([account.pubkey for account in written.accounts])
                if (bytes(written.data), named) == (tag + bytes(_AMOUNTS_BYTES), accounts):
                    return terms
        return None

    def _state(self, address: str, slot: int, moved_x_base: int) -> SimulatedPool:
        if moved_x_base:
            return self._cached_state(address, slot, 0).pushed(moved_x_base)
        pool = self.at(address)
        return pool.listing.state(pool, self._market, slot=slot, slot_ms=self._slot_ms)


def _listed_pairs() -> Iterator[tuple[Token, Token]]:
    by_mint = sorted(TOKENS.values(), key=lambda token: bytes(mint_of(token)))
    for pair in combinations(by_mint, 2):
        if SOL in pair or USDC in pair:
            yield pair


def _listed(venue: Venue, token_x: Token, token_y: Token, listing: Listing) -> Listed:
    address = listing.address(venue.program_id, mint_of(token_x), mint_of(token_y))
    return Listed(venue.name, str(address), token_x, token_y, listing)
