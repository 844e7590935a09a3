"""What beat and operators do: expired tickets and quotes, old slots and tallies, API keys."""

from datetime import timedelta
from io import StringIO

import pytest
from django.conf import LazySettings
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.utils import timezone

from orders import accounts, execution, tasks
from orders.exchange import TradingDesk
from orders.models import Account, ApiKey, Order, Quote, StreamTicket, VenueTally
from tests.factories import place, quoted
from tests.routing.lab import ChainLab
from tests.venues.answers import tallied

pytestmark = pytest.mark.django_db(transaction=True)


def test_expired_tickets_are_removed_and_good_ones_kept(account: Account) -> None:
    accounts.issue_ticket(account=account)
    StreamTicket.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    kept, _ = accounts.issue_ticket(account=account)

    tasks.remove_expired_tickets()

    assert StreamTicket.objects.count() == 1
    redeemed = accounts.redeem_ticket(kept)
    assert redeemed is not None
    assert redeemed.account == account


def test_sessions_that_nobody_signed_out_of_are_removed_when_they_expired(db: None) -> None:
    now = timezone.now()
    for name, hours in (("expired", -1), ("good", 1)):
        expire_date = now + timedelta(hours=hours)
        Session.objects.create(session_key=name, session_data="", expire_date=expire_date)

    tasks.remove_expired_sessions()

    assert [session.session_key for session in Session.objects.all()] == ["good"]


def test_tallies_are_kept_for_an_hour(db: None) -> None:
    now = timezone.now()
    for minutes_ago in (59, 61, 600):
        at = now - timedelta(minutes=minutes_ago)
        tallied("raydium", at=at, asked=1)

    tasks.remove_old_tallies()

    assert [tally.at for tally in VenueTally.objects.all()] == [now - timedelta(minutes=59)]


def test_a_quote_is_kept_for_an_hour_after_it_expired(account: Account, desk: TradingDesk) -> None:
    old, expired, fresh = (quoted(account, desk).id for _ in range(3))
    order = place(account, quote_id=old)
    for quote_id, minutes in ((old, 61), (expired, 59)):
        expired_at = timezone.now() - timedelta(minutes=minutes)
        Quote.objects.filter(id=quote_id).update(expires_at=expired_at)

    tasks.remove_old_quotes()

    assert set(Quote.objects.values_list("id", flat=True)) == {expired, fresh}
    assert Order.objects.get(id=order.id).quote_id == old


def test_old_landings_are_removed_and_recent_ones_kept(
    account: Account,
    desk: TradingDesk,
    lab: ChainLab,
    settings: LazySettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.MOCK_HISTORY_H = 1
    monkeypatch.setattr(tasks, "trading_desk", lambda: desk)
    old, recent = place(account), place(account)
    execution.execute([old.id], desk=desk)
    lab.clock.pass_slots(2 * 3_600_000 // settings.MOCK_SLOT_MS)
    execution.execute([recent.id], desk=desk)

    tasks.remove_old_slots()

    hashes = [Order.objects.get(id=order.id).tx_hash for order in (old, recent)]
    landed = desk.chain.transactions(hashes)
    assert [receipt is not None for receipt in landed] == [False, True]


def test_keys_are_issued_listed_and_revoked_by_a_command(db: None) -> None:
    clear = apikey("issue", "carol", "--label", "bot").strip()
    assert (found := accounts.account_of_key(clear)) and found.name == "carol"

    listed = apikey("list")
    assert "carol  bot  active" in listed
    assert clear not in listed

    apikey("revoke", ApiKey.objects.get().prefix)
    assert accounts.account_of_key(clear) is None
    assert "revoked" in apikey("list")


def test_a_prefix_that_names_no_key_is_refused(db: None) -> None:
    with pytest.raises(CommandError, match="No key has the prefix oee_nobody"):
        apikey("revoke", "oee_nobody")


def apikey(*arguments: str) -> str:
    out = StringIO()
    call_command("apikey", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()
