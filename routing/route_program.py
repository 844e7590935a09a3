"""The on-chain program that swaps along a route: through several pools side by side, or one after another.

One instruction, so all legs or none, and one minimum for what comes out at the end. A route of one leg needs no
program but the venue's own. Any other is this program's: it calls the venues' with their own instructions, and gives
each leg of a later hop its part of what the hop before has really paid.

The data are the discriminator, then u64 amount in, u64 least amount out and u8 legs; then for each leg u8 hop (from 0),
u8 accounts, u8 bytes, and the venue's own instruction of that length. Its program and accounts follow in the account
list, leg after leg. Integers are little-endian.
"""

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from routing.errors import Rejected
from routing.pool import MAX_U64, Pool, too_large
from routing.venue import Program, SwapTerms

# Deployed on the simulated chain only.
PROGRAM_ID: Final = Pubkey.from_string("8mSNWwcSrKY3kfBa6dkjiPoQj25vXyJyax8orx6hoFnQ")

_DISCRIMINATOR: Final = sha256(b"global:route").digest()[:8]
_HEAD: Final = struct.Struct("<8sQQB")
_LEG: Final = struct.Struct("<BBB")


@dataclass(frozen=True, slots=True)
class LegTerms:
    """One swap of a route, in its hop. Its amounts divide what the hop takes in; its minimum counts for nothing."""

    hop: int
    venue: str
    terms: SwapTerms


@dataclass(frozen=True, slots=True)
class RouteTerms:
    """What a transaction swaps. Legs stand in the order of their hops."""

    amount_in_base: int
    min_amount_out_base: int
    legs: tuple[LegTerms, ...]

    @property
    def venues(self) -> tuple[str, ...]:
        """Each venue once, in the order of the legs."""
        return tuple(dict.fromkeys(leg.venue for leg in self.legs))

    @property
    def pools(self) -> tuple[str, ...]:
        """Each leg's pool."""
        return tuple(leg.terms.pool for leg in self.legs)

    def hops(self) -> Iterator[Sequence[LegTerms]]:
        """The legs of each hop."""
        for hop in dict.fromkeys(leg.hop for leg in self.legs):
            yield [leg for leg in self.legs if leg.hop == hop]


@dataclass(frozen=True, slots=True)
class Paid:
    """What a route paid, and the net amount of its token X that each pool got, by address."""

    amount_out_base: int
    moved_x_base: Mapping[str, int]


def instruction(
    legs: Sequence[tuple[int, Instruction]],
    *,
    amount_in_base: int,
    min_amount_out_base: int,
    owner: Pubkey,
) -> Instruction:
    """The instruction that executes the venues' instructions (each with its hop), or does nothing below the minimum.

    Raises `Rejected` (`AMOUNT_TOO_LARGE`) beyond u64.
    """
    if max(amount_in_base, min_amount_out_base) > MAX_U64:
        raise too_large()
    data = [_HEAD.pack(_DISCRIMINATOR, amount_in_base, min_amount_out_base, len(legs))]
    accounts = [AccountMeta(owner, is_signer=True, is_writable=True)]
    for hop, leg in legs:
        data += [_LEG.pack(hop, len(leg.accounts), len(leg.data)), bytes(leg.data)]
        accounts += [AccountMeta(leg.program_id, is_signer=False, is_writable=False), *leg.accounts]
    return Instruction(PROGRAM_ID, b"".join(data), accounts)


def decode(swap: Instruction, programs: Mapping[Pubkey, Program]) -> RouteTerms:
    """What a transaction's instruction swaps: a venue's own, or this program's.

    Raises `Rejected`: `UNKNOWN_PROGRAM` for another program's, `MALFORMED_INSTRUCTION` for what none of them would
    write.
    """
    if swap.program_id != PROGRAM_ID:
        leg = _venue_terms(swap, programs)
        return RouteTerms(leg.terms.swap.amount_in_base, leg.terms.min_amount_out_base, (leg,))
    try:
        terms = _route_terms(swap, programs)
    except struct.error:
        raise _malformed() from None
    _check(terms)
    return terms


def execute(terms: RouteTerms, pool_at: Callable[[str, str], Pool]) -> Paid:
    """What the route pays in pools as `pool_at(venue, address)` has them. The minimum is left to the caller.

    Raises `Rejected`: `INSUFFICIENT_LIQUIDITY`, `AMOUNT_TOO_SMALL`, `AMOUNT_TOO_LARGE`.
    """
    amount_base, moved = terms.amount_in_base, dict.fromkeys(terms.pools, 0)
    for legs in terms.hops():
        weights = [leg.terms.swap.amount_in_base for leg in legs]
        paid_base = 0
        for leg, amount_in_base in zip(legs, divide(amount_base, weights), strict=True):
            pool, token_in = pool_at(leg.venue, leg.terms.pool), leg.terms.swap.token_in
            fill = pool.exact_in(token_in, amount_in_base)
            paid_base += fill.amount_out_base
            is_x = token_in.mint == pool.token_x.mint
            moved[pool.address] += amount_in_base if is_x else -fill.amount_out_base
        amount_base = paid_base
    return Paid(amount_base, moved)


def divide(amount_base: int, weights: Sequence[int]) -> list[int]:
    """The amount in proportion to the weights, each part rounded down but the last, which is the rest."""
    total = sum(weights)
    parts = [amount_base * weight // total for weight in weights[:-1]]
    return [*parts, amount_base - sum(parts)]


def _venue_terms(leg: Instruction, programs: Mapping[Pubkey, Program], *, hop: int = 0) -> LegTerms:
    program = programs.get(leg.program_id)
    if program is None:
        raise Rejected("UNKNOWN_PROGRAM", f"no venue owns the program {leg.program_id}")
    return LegTerms(hop, program.name, program.decode(leg))


def _route_terms(route: Instruction, programs: Mapping[Pubkey, Program]) -> RouteTerms:
    data, accounts = bytes(route.data), list(route.accounts)[1:]
    discriminator, amount_in_base, min_amount_out_base, count = _HEAD.unpack_from(data)
    if discriminator != _DISCRIMINATOR:
        raise _malformed()
    position, legs = _HEAD.size, []
    for _ in range(count):
        hop, accounts_count, length = _LEG.unpack_from(data, position)
        position += _LEG.size
        leg_data = data[position : position + length]
        if len(accounts) <= accounts_count or len(leg_data) != length:
            raise _malformed()
        program, *own = accounts[: accounts_count + 1]
        legs.append(_venue_terms(Instruction(program.pubkey, leg_data, own), programs, hop=hop))
        position, accounts = position + length, accounts[accounts_count + 1 :]
    if position != len(data) or accounts:
        raise _malformed()
    return RouteTerms(amount_in_base, min_amount_out_base, tuple(legs))


def _check(terms: RouteTerms) -> None:
    """The legs of a hop swap the same two tokens, and each hop goes on with what the one before pays."""
    hops = [leg.hop for leg in terms.legs]
    if sorted(set(hops)) != list(range(len(set(hops)))) or hops != sorted(hops) or not hops:
        raise _malformed()
    token_in = None
    for legs in terms.hops():
        pairs = {(leg.terms.swap.token_in, leg.terms.swap.token_out) for leg in legs}
        if len(pairs) != 1 or not all(leg.terms.swap.amount_in_base for leg in legs):
            raise _malformed()
        ((pair_in, pair_out),) = pairs
        if token_in not in (None, pair_in):
            raise _malformed()
        token_in = pair_out


def _malformed() -> Rejected:
    return Rejected("MALFORMED_INSTRUCTION", "this is not a route of the route program")
