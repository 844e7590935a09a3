"""What opened a socket, and whether it still would: an API key, a ticket, or the session of a person.

A ticket that a person took stands for their session.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from orders import accounts, people


@dataclass(frozen=True, slots=True)
class Pass:
    """One account's, by the API key or by the session that is named; by a ticket that a key took, if neither is."""

    account_id: int
    key_id: int | None = None
    session_key: str | None = None


def still_valid(passes: Iterable[Pass]) -> set[Pass]:
    """Those of them that would open a socket now. A key's ticket does while its account has a key."""
    shown = set(passes)
    account_ids = {each.account_id for each in shown}
    keys = set(accounts.valid_keys(account_ids))
    sessions = people.accounts_signed_in(each.session_key for each in shown if each.session_key)
    have_keys = {account_id for account_id, _ in keys}

    def is_valid(each: Pass) -> bool:
        if each.key_id is not None:
            return (each.account_id, each.key_id) in keys
        if each.session_key is not None:
            return sessions.get(each.session_key) == each.account_id
        return each.account_id in have_keys

    return {each for each in shown if is_valid(each)}
