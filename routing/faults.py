"""The bad days that the simulated world can have: their names, what each means, and how a setting spells them.

Imports nothing of the simulation, so that the settings can check a name without loading it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

FAULTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        # Of the venues
        "quote_timeout": "A venue's quote never comes.",
        # Of one send
        "send_refused": "The node answers the send with an error and passes nothing on.",
        "dropped": "The node takes the transaction and loses it.",
        "answer_lost": "The transaction is passed on, but the sender hears only an error.",
        "duplicate_send": "The node passes the transaction on twice.",
        # Of one transaction
        "slippage": "The price moves beyond the limit just before the transaction lands.",
        "lands_late": "The transaction lands several slots later, or is refused then as expired.",
        "lands_last": "The transaction lands in the last slot in which it is valid.",
        # Of one answer: it is honest about the slot, the cluster and the history that it is from
        "stale_read": "Statuses are answered as they were some slots ago.",
        "lagging_node": "The call is answered by a node that is some slots behind in everything.",
        "no_history": "The call is answered by a node whose history began recently.",
        "other_cluster": "The read is answered from a reset cluster, which has another genesis hash.",
        # Of one call
        "rpc_error": "The call fails at once.",
        "rpc_timeout": "The call fails after a wait.",
        "slow_answer": "The answer is held back for a while.",
    }
)


def check_faults(faults: Mapping[str, float]) -> None:
    """Raises `ValueError`, with a sentence, for a name that is no fault's or a rate outside 0 to 1."""
    for name, rate in faults.items():
        if name not in FAULTS:
            raise ValueError(f"{name!r} is no fault; there are {', '.join(FAULTS)}")
        if not 0 <= rate <= 1:
            raise ValueError(f"the rate of {name} is between 0 and 1, not {rate}")


def parse_faults(text: str) -> dict[str, float]:
    """`"stale_read=1,dropped=0.5"` as rates by name; "" is none. Raises `ValueError` with a sentence."""
    faults: dict[str, float] = {}
    for item in filter(None, (item.strip() for item in text.split(","))):
        name, _, rate = (part.strip() for part in item.partition("="))
        if name in faults:
            raise ValueError(f"{name} is there twice")
        try:
            faults[name] = float(rate)
        except ValueError:
            raise ValueError(f"{item!r} is not like dropped=0.5") from None
    check_faults(faults)
    return faults
