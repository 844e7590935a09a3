"""Accounts, their API keys and their stream tickets. Secrets are shown once and kept as SHA-256."""

import hashlib
import secrets
import time
from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from orders.models import Account, ApiKey, StreamTicket

KEY_PREFIX = "oee_"

# How long a revoked key may still open something.
KEY_VALID_S = 1.0
MOST_KNOWN_KEYS = 10_000
_known_keys: dict[str, tuple[ApiKey, float]] = {}


def create_account(name: str) -> Account:
    """The account of that name, made if there is none."""
    return Account.objects.get_or_create(name=name)[0]


def issue_key(*, account: Account, label: str) -> tuple[str, ApiKey]:
    """A new API key for the account, in clear (nobody can read it again) and as it is kept."""
    clear = KEY_PREFIX + secrets.token_urlsafe(32)
    prefix = clear[: len(KEY_PREFIX) + 6]
    return clear, ApiKey.objects.create(
        account=account, label=label, prefix=prefix, digest=_digest(clear)
    )


def revoke_key(key: ApiKey) -> None:
    """The key opens nothing from now on; in other processes a second later. Safe to repeat."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())
    _known_keys.pop(key.digest, None)


def account_of_key(key: str) -> Account | None:
    """Whose valid key this is."""
    found = valid_key(key)
    return found.account if found else None


def valid_key(key: str) -> ApiKey | None:
    """The key as it is kept, with its account, unless it is unknown or revoked.

    What was valid is taken to be so for a second: a client that asks a hundred times costs one query.
    """
    if known := known_key(key):
        return known
    digest, now = _digest(key), time.monotonic()
    found = ApiKey.objects.filter(digest=digest, revoked_at=None).select_related("account").first()
    if found is None:
        _known_keys.pop(digest, None)
        return None
    if len(_known_keys) >= MOST_KNOWN_KEYS:
        _known_keys.clear()
    _known_keys[digest] = found, now + KEY_VALID_S
    return found


def known_key(key: str) -> ApiKey | None:
    """The key, if it was found valid a moment ago. Asks no database."""
    known, until = _known_keys.get(_digest(key), (None, 0.0))
    return known if time.monotonic() < until else None


def valid_keys(account_ids: Iterable[int]) -> list[tuple[int, int]]:
    """(account, key) of every key of these accounts that nobody revoked or removed."""
    keys = ApiKey.objects.filter(account_id__in=list(account_ids), revoked_at=None)
    return list(keys.values_list("account_id", "id"))


def issue_ticket(*, account: Account, session_key: str = "") -> tuple[str, StreamTicket]:
    """A ticket for one socket, and what the client presents for it. `session_key` is a person's who took it."""
    clear = secrets.token_urlsafe(32)
    expires_at = timezone.now() + timedelta(seconds=settings.STREAM_TICKET_S)
    return clear, StreamTicket.objects.create(
        digest=_digest(clear), account=account, session_key=session_key, expires_at=expires_at
    )


def redeem_ticket(clear: str) -> StreamTicket | None:
    """The ticket, if it is still good. Good once: two sockets can't both redeem it."""
    ticket = StreamTicket.objects.filter(digest=_digest(clear)).select_related("account").first()
    if ticket is None or StreamTicket.objects.filter(pk=ticket.pk).delete()[0] == 0:
        return None
    return ticket if ticket.expires_at > timezone.now() else None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
