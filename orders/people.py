"""People who sign in, and the account that each trades for. Their sessions are Django's, in the database."""

from collections.abc import Iterable

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.models import Session
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from orders.models import Account, Member


def account_of_person(user: AbstractBaseUser | AnonymousUser) -> Account | None:
    """The account that a signed-in person trades for, if there is one."""
    if user.pk is None:
        return None
    member = Member.objects.filter(user_id=user.pk).select_related("account").first()
    return member.account if member else None


def members_signed_in(session_keys: Iterable[str]) -> dict[str, Member]:
    """The member behind each of these sessions, if it is still good.

    It isn't when it was signed out of or has expired, when the password was changed since, and when the person was
    made inactive or is no member any more.
    """
    kept = Session.objects.filter(
        session_key__in=list(session_keys), expire_date__gt=timezone.now()
    )
    sessions = {session.session_key: session.get_decoded() for session in kept}
    user_ids = [data[SESSION_KEY] for data in sessions.values() if SESSION_KEY in data]
    members = Member.objects.filter(user_id__in=user_ids, user__is_active=True)
    by_user = {str(m.user_id): m for m in members.select_related("user", "account")}
    found = {key: by_user.get(data.get(SESSION_KEY, "")) for key, data in sessions.items()}
    return {
        key: member
        for key, member in found.items()
        if member is not None
        and constant_time_compare(
            sessions[key].get(HASH_SESSION_KEY, ""), member.user.get_session_auth_hash()
        )
    }
