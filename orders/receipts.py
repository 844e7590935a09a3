"""What an attempt's decision rests on: kept beside it, so that the decision can be made again and checked.

A receipt refers to the states of the pools, which are kept once per pool and slot. What it doesn't say follows from
them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson
from django.db import connection

from orders.models import Order, OrderAttempt, PoolState
from orders.quoting import legs_as_json, swap_of
from routing.answers import Answer
from routing.errors import Rejected
from routing.pool import Pool
from routing.route import ReferencePrices
from routing.router import Decision, Terms, decide
from routing.tokens import TOKENS, Token, from_base, to_base
from routing.venue import Swap, SwapTerms, Venue

_KEEP = """
INSERT INTO orders_poolstate (pool, slot, venue, state)
SELECT pool, slot, venue, state FROM jsonb_to_recordset(%s::jsonb) AS s(pool text, slot bigint, venue text, state jsonb)
ORDER BY pool, slot
ON CONFLICT (pool, slot) DO NOTHING
"""


class StateMissing(Exception):
    """A pool's state isn't kept, or its venue is not one of this engine's any more."""


@dataclass(frozen=True, slots=True)
class StoredLeg:
    """A leg of an attempt's route, from its hop (0 is the first) on."""

    hop: int
    venue: str
    terms: SwapTerms


@dataclass(frozen=True, slots=True)
class ExecutionCost:
    """Where the value went between the market's price and what was received, in base units of token out.

    `spread`, `fee` and `price_impact` are those of the best single pool (or pool a hop); `improvement` is what the
    chosen route pays more than that, `drift` what the pools moved until it landed. A cost is above 0, a gain below;
    improvement the other way round.
    reference - received = spread + fee + price impact - improvement + drift + network fee, exactly.
    """

    reference_base: int
    received_base: int
    spread_base: int
    fee_base: int
    price_impact_base: int
    improvement_base: int
    drift_base: int
    network_fee_base: int


# What this process knows to be kept, by pool and slot. Forgotten at once when it gets long: asking again is harmless.
known: set[tuple[str, int]] = set()
_MOST_KNOWN = 10_000


def keep(answers: Iterable[Answer]) -> None:
    """Store the pools' states that aren't yet: before any receipt that refers to them. Safe to repeat, and to race."""
    new = [
        pool
        for answer in answers
        for pool in answer.pools
        if (pool.address, pool.slot) not in known
    ]
    if not new:
        return
    rows = [
        {"pool": pool.address, "slot": pool.slot, "venue": pool.venue, "state": pool.as_json()}
        for pool in new
    ]
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, [orjson.dumps(rows).decode()])
    if len(known) > _MOST_KNOWN:
        known.clear()
    known.update((pool.address, pool.slot) for pool in new)


def receipt_as_json(decision: Decision) -> dict[str, Any]:
    """All that `remade` needs, and what `execution_cost` starts from. Amounts are whole tokens, as strings."""
    swap, terms, plain = decision.swap, decision.terms, decision.plain

    def out(amount_base: int) -> str:
        return from_base(amount_base, swap.token_out)

    return {
        "venues": [_answer_as_json(answer) for answer in decision.answers],
        "pricesPicoUsd": {symbol: str(pico) for symbol, pico in terms.prices.pico_usd.items()},
        "networkFeeLamports": terms.network_fee_lamports,
        "legCostLamports": terms.leg_cost_lamports,
        "maxLegs": terms.max_legs,
        "legs": legs_as_json(decision.route),
        "amountOut": out(decision.route.amount_out_base),
        "networkFee": out(terms.network_fee_base(swap.token_out)),
        "referenceValue": out(decision.reference_base),
        "bestSingle": {
            "venue": plain.venue,
            "pools": [leg.pool.address for leg in plain.legs],
            "atMidPrice": out(plain.costs.at_mid_base),
            "fee": out(plain.costs.fee_base),
            "priceImpact": out(plain.costs.impact_base),
            "amountOut": out(plain.amount_out_base),
        },
    }


def _answer_as_json(answer: Answer) -> dict[str, Any]:
    if answer.error_code is not None:
        return {
            "venue": answer.venue,
            "error": {
                "code": answer.error_code,
                "message": answer.error,
                "retryable": answer.retryable,
            },
            "tookMs": answer.took_ms,
        }
    return {
        "venue": answer.venue,
        "slot": answer.pools[0].slot if answer.pools else None,
        "pools": [pool.address for pool in answer.pools],
        "tookMs": answer.took_ms,
    }


def remade(order: Order, attempt: OrderAttempt, venues: Mapping[str, Venue]) -> Decision:
    """The attempt's decision, made again from the states that are kept.

    Raises `StateMissing`, and what `decide` raises.
    """
    receipt = attempt.receipt or {}
    told = receipt.get("venues", [])
    wanted = [(pool, each["slot"]) for each in told for pool in each.get("pools", [])]
    rows = PoolState.objects.filter(
        pool__in={pool for pool, _ in wanted}, slot__in={slot for _, slot in wanted}
    )
    states = {(row.pool, row.slot): row for row in rows}
    answers = [_answer_from_json(each, states, venues) for each in told]
    terms = Terms(
        prices=ReferencePrices({s: int(pico) for s, pico in receipt["pricesPicoUsd"].items()}),
        network_fee_lamports=receipt["networkFeeLamports"],
        leg_cost_lamports=receipt["legCostLamports"],
        max_legs=receipt["maxLegs"],
    )
    return decide(swap_of(order), answers, terms)


def _answer_from_json(
    told: Mapping[str, Any],
    states: Mapping[tuple[str, int], PoolState],
    venues: Mapping[str, Venue],
) -> Answer:
    if error := told.get("error"):
        return Answer(
            told["venue"],
            error_code=error["code"],
            error=error["message"],
            retryable=error["retryable"],
        )
    return Answer(
        told["venue"],
        tuple(_restored(pool, told["slot"], states, venues) for pool in told["pools"]),
    )


def _restored(
    address: str,
    slot: int,
    states: Mapping[tuple[str, int], PoolState],
    venues: Mapping[str, Venue],
) -> Pool:
    row = states.get((address, slot))
    if row is None:
        raise StateMissing(f"the state of pool {address} at slot {slot} is not kept")
    if row.venue not in venues:
        raise StateMissing(f"{row.venue} is not a venue of this engine any more")
    return venues[row.venue].restore(row.state)


def legs_of(receipt: Mapping[str, Any]) -> list[StoredLeg]:
    """The route that an attempt was built for. Raises `Rejected` (`UNKNOWN_TOKEN`)."""
    return [_leg_from_json(leg) for leg in receipt["legs"]]


def _leg_from_json(leg: Mapping[str, Any]) -> StoredLeg:
    token_in, token_out = _token(leg["tokenIn"]), _token(leg["tokenOut"])
    swap = Swap(token_in, token_out, to_base(Decimal(leg["amountIn"]), token_in))
    return StoredLeg(leg["hop"] - 1, leg["venue"], SwapTerms(leg["pool"], swap, 0))


def _token(symbol: str) -> Token:
    if symbol not in TOKENS:
        raise Rejected("UNKNOWN_TOKEN", f"{symbol} is not listed any more")
    return TOKENS[symbol]


def execution_cost(
    receipt: Mapping[str, Any], token_out: Token, amount_out_base: int
) -> ExecutionCost:
    """What a fill cost, in its parts: a function of the receipt and of what landed."""

    def base(amount: str) -> int:
        sign = -1 if amount.startswith("-") else 1
        return sign * to_base(Decimal(amount.removeprefix("-")), token_out)

    single = receipt["bestSingle"]
    reference_base, quoted_base = base(receipt["referenceValue"]), base(receipt["amountOut"])
    network_fee_base = base(receipt["networkFee"])
    return ExecutionCost(
        reference_base=reference_base,
        received_base=amount_out_base - network_fee_base,
        spread_base=reference_base - base(single["atMidPrice"]),
        fee_base=base(single["fee"]),
        price_impact_base=base(single["priceImpact"]),
        improvement_base=quoted_base - base(single["amountOut"]),
        drift_base=quoted_base - amount_out_base,
        network_fee_base=network_fee_base,
    )


def cost_as_json(cost: ExecutionCost, token_out: Token) -> dict[str, str]:
    """In whole tokens, as strings."""

    def out(amount_base: int) -> str:
        return from_base(amount_base, token_out)

    return {
        "referenceValue": out(cost.reference_base),
        "received": out(cost.received_base),
        "spread": out(cost.spread_base),
        "fee": out(cost.fee_base),
        "priceImpact": out(cost.price_impact_base),
        "improvement": out(cost.improvement_base),
        "drift": out(cost.drift_base),
        "networkFee": out(cost.network_fee_base),
    }
