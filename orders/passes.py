"""What opened a socket, and whether it still would: an API key, a ticket, or the session of a person."""

from collections.abc import Iterable
from dataclasses import dataclass

from orders import accounts, people
from orders.models import Member


@dataclass(frozen=True, slots=True)
class Pass:
    """One account's, by the API key or by the session that is named; by a ticket, if neither is."""

    account_id: int
    key_id: int | None = None
    session_key: str | None = None


def still_valid(passes: Iterable[Pass]) -> set[Pass]:
    """Those of them that would open a socket now. A ticket's does while its account has a key or a member."""
    shown = set(passes)
    account_ids = {each.account_id for each in shown}
    keys = set(accounts.valid_keys(account_ids))
    sessions = people.members_signed_in(each.session_key for each in shown if each.session_key)
    by_session = {(member.account_id, key) for key, member in sessions.items()}
    has_somebody = {account_id for account_id, _ in keys}
    if any(each.key_id is None and each.session_key is None for each in shown):
        members = Member.objects.filter(account_id__in=account_ids, user__is_active=True)
        has_somebody |= set(members.values_list("account_id", flat=True))

    def is_valid(each: Pass) -> bool:
        if each.key_id is not None:
            return (each.account_id, each.key_id) in keys
        if each.session_key is not None:
            return (each.account_id, each.session_key) in by_session
        return each.account_id in has_somebody

    return {each for each in shown if is_valid(each)}
