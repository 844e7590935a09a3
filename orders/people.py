"""People who sign in, and the account that each trades for. Their sessions are Django's, in the database."""

from collections.abc import Iterable
from functools import lru_cache

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.models import Session
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from orders.models import Account, Member

MOST_REMEMBERED = 16_384


def account_of_person(user: AbstractBaseUser | AnonymousUser) -> Account | None:
    """The account that a signed-in person trades for, if there is one."""
    if user.pk is None:
        return None
    member = Member.objects.filter(user_id=user.pk).select_related("account").first()
    return member.account if member else None


def account_signed_in(session_key: str) -> Account | None:
    """The account of whoever this session is of, if it is still good."""
    account_id = accounts_signed_in([session_key]).get(session_key)
    return None if account_id is None else Account.objects.get(pk=account_id)


def accounts_signed_in(session_keys: Iterable[str]) -> dict[str, int]:
    """The account (its id) behind each of these sessions that is still good.

    It isn't when it was signed out of or has expired, when the password was changed since, and when the person was
    made inactive or is no member any more. Every socket's is looked at each second, so what can be is remembered.
    """
    kept = Session.objects.filter(
        session_key__in=list(session_keys), expire_date__gt=timezone.now()
    )
    sessions = {
        key: _content(data) for key, data in kept.values_list("session_key", "session_data")
    }
    user_ids = {user_id for user_id, _ in sessions.values() if user_id}
    members = Member.objects.filter(user_id__in=user_ids, user__is_active=True)
    by_user = {
        str(user_id): (account_id, password)
        for user_id, account_id, password in members.values_list(
            "user_id", "account_id", "user__password"
        )
    }
    found: dict[str, int] = {}
    for key, (user_id, hash_then) in sessions.items():
        account_id, password = by_user.get(user_id, (None, ""))
        if account_id is not None and constant_time_compare(hash_then, _hash_now(password)):
            found[key] = account_id
    return found


@lru_cache(maxsize=MOST_REMEMBERED)
def _content(session_data: str) -> tuple[str, str]:
    """Whose session it is, and the hash that stands for their password; empty if it is nobody's, or not ours."""
    content = Session(session_data=session_data).get_decoded()
    return content.get(SESSION_KEY, ""), content.get(HASH_SESSION_KEY, "")


@lru_cache(maxsize=MOST_REMEMBERED)
def _hash_now(password: str) -> str:
    """Of a password as it is kept, which is a hash itself."""
    return User(password=password).get_session_auth_hash()
