"""The audit console: what it shows, how it finds, what it refuses, and what it costs the database."""

import re
from base64 import b64encode
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from uuid import UUID

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.db.models import F
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from orders import accounts, execution, inflight, intake, leases, settlement
from orders.admin import order_list, transactions
from orders.admin.orders import OrderAdmin
from orders.exchange import TradingDesk
from orders.inflight import Sent
from orders.lifecycle import Status
from orders.models import Account, ApiKey, Order, OrderAttempt, OrderEvent
from tests.desks import behind, without
from tests.factories import order_at, place
from tests.routing.lab import ChainLab

ORDERS = "/admin/orders/order/"
KEYS = "/admin/orders/apikey/"
ACCOUNTS = "/admin/orders/account/"
FOR_EVER = 151 + 33  # slots until a transaction signed now is expired, and that is final
UNSEEN_SIGNATURE = "5" * 87

on_real_commits = pytest.mark.django_db(transaction=True)  # execution gives its connection back


@pytest.fixture(autouse=True)
def nothing_in_flight() -> Iterator[None]:
    yield
    inflight.here.forget(inflight.here.held())


@pytest.fixture
def root(db: None) -> Client:
    return logged_in(User.objects.create_superuser("root"))


@pytest.fixture
def auditor(db: None) -> Client:
    return staff("auditor", "view_order")


@pytest.fixture
def confirmed(account: Account, desk: TradingDesk) -> Order:
    order = place(account, client_order_id="bot:1")
    execution.execute(order.id, desk=desk)
    order.refresh_from_db()
    return order


@pytest.fixture
def dropped(account: Account, desk: TradingDesk) -> Sent:
    """A committed transaction that the chain never hears of."""
    desk, node = behind(desk)
    node.drops_sends = True
    order = leases.claim(place(account).id, holder="tests")
    assert order
    sent = execution.advance(order, desk=desk)
    assert sent
    return sent


@pytest.fixture
def on_this_chain(desk: TradingDesk, monkeypatch: pytest.MonkeyPatch) -> TradingDesk:
    """The console asks the chain that the test's orders were executed on."""
    monkeypatch.setattr(transactions, "exchange", lambda: desk)
    return desk


def staff(name: str, *permissions: str) -> Client:
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return logged_in(user)


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def order_page(order: Order | UUID) -> str:
    return f"{ORDERS}{order.id if isinstance(order, Order) else order}/change/"


def transaction_page(signature: str) -> str:
    return f"{ORDERS}transaction/{signature}/"


def text_of(response: HttpResponse, *, status: int = 200) -> str:
    """What a reader sees: no tags, single spaces."""
    assert response.status_code == status, response
    body = re.sub(r"<(script|style).*?</\1>", "", response.content.decode(), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def listed(response: HttpResponse) -> list[UUID]:
    assert response.status_code == 200, response
    return [order.id for order in response.context["cl"].result_list]


# --- What it shows ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.django_db
def test_an_order_has_a_page_and_a_row_at_every_status(
    root: Client, account: Account, status: Status
) -> None:
    order = order_at(status, account)

    page, orders = text_of(root.get(order_page(order))), root.get(ORDERS)

    assert f"1 {order.created_at:%Y-%m-%d %H:%M:%S}" in page
    assert f"Status: {status}" in page
    assert listed(orders) == [order.id]
    assert "1.5 SOL" in text_of(orders)


@on_real_commits
def test_a_confirmed_order_shows_its_swap_its_venue_and_its_timeline(
    root: Client, confirmed: Order
) -> None:
    page = text_of(root.get(order_page(confirmed)))

    assert "Swap: 1.5 SOL → " in page
    assert re.search(r"Amount out: [\d.]+ USDC \(minimum [\d.]+ USDC\)", page)
    assert re.search(r"Executed price: [\d.]+ USDC per SOL", page)
    for event in OrderEvent.objects.filter(order=confirmed):
        assert event.message in page
    assert f"Attempt: {confirmed.id}:1" in page


@on_real_commits
def test_quotes_are_a_table_that_says_why_the_losers_lost(root: Client, confirmed: Order) -> None:
    attempt = OrderAttempt.objects.get(order=confirmed)
    (loser,) = [quote for quote in attempt.quotes if not quote["chosen"]]

    page = text_of(root.get(order_page(confirmed)))

    assert loser["lostBecause"][1:] in page
    for quote in attempt.quotes:
        assert quote["netAmountOut"] in page


@on_real_commits
def test_a_venue_that_gave_no_quote_is_in_the_table_with_its_error(
    root: Client, account: Account, desk: TradingDesk
) -> None:
    order = place(account)
    execution.execute(order.id, desk=without(desk, "meteora"))

    assert "Meteora VENUE_DOWN No quote: Meteora is down" in text_of(root.get(order_page(order)))


@on_real_commits
def test_a_failed_order_shows_its_error_and_whether_to_try_again(
    root: Client, account: Account, desk: TradingDesk
) -> None:
    order = place(account, token_in="BONK", token_out="SOL", amount_in_base=1)
    execution.execute(order.id, desk=desk)
    order.refresh_from_db()
    assert order.status == Status.FAILED

    page = text_of(root.get(order_page(order)))

    assert f"{order.error_code} {order.error_message}" in page
    assert "The same order, placed again, will fail the same way." in page


@on_real_commits
def test_a_proof_of_death_is_shown_as_it_was_stored(
    root: Client, lab: ChainLab, dropped: Sent, desk: TradingDesk
) -> None:
    lab.clock.pass_slots(FOR_EVER)
    settlement.settle([dropped], desk=desk)

    page = text_of(root.get(order_page(dropped.order_id)))

    assert '"kind": "expired unseen"' in page
    assert f"Attempt: {dropped.order_id}:2" in page


@on_real_commits
def test_signed_bytes_are_neither_loaded_nor_shown(
    root: Client, confirmed: Order, on_this_chain: TradingDesk
) -> None:
    signed_bytes = bytes(OrderAttempt.objects.get(order=confirmed).signed_bytes or b"")

    for address in (order_page(confirmed), transaction_page(confirmed.tx_hash)):
        with CaptureQueriesContext(connection) as queries:
            body = root.get(address).content.decode()
        assert not [query for query in queries if "signed_bytes" in query["sql"]]
        assert b64encode(signed_bytes).decode() not in body
        assert signed_bytes.hex() not in body


@pytest.mark.django_db
def test_what_clients_wrote_is_escaped(root: Client, account: Account) -> None:
    order = place(account, client_order_id="<script>alert(1)</script>")

    for address in (ORDERS, order_page(order)):
        assert b"<script>alert(1)" not in root.get(address).content


@pytest.mark.django_db
def test_a_token_that_is_not_listed_any_more_is_shown_in_base_units(
    root: Client, account: Account
) -> None:
    order = order_at(Status.CONFIRMED, account, token_in="GONE")

    assert "1500000000 base units of GONE" in text_of(root.get(order_page(order)))
    assert "1500000000 base units of GONE" in text_of(root.get(ORDERS))


# --- How it finds -----------------------------------------------------------------------------------------------------


@on_real_commits
def test_a_search_finds_an_order_by_each_of_its_names(
    root: Client, account: Account, confirmed: Order
) -> None:
    place(account, client_order_id="another")
    names = [str(confirmed.id), "bot:1", confirmed.tx_hash, f"{confirmed.id}:1"]

    for name in [*names, f"  {confirmed.id}\t"]:
        assert listed(root.get(ORDERS, {"q": name})) == [confirmed.id]


@on_real_commits
def test_a_search_finds_an_order_by_the_transaction_of_an_earlier_attempt(
    root: Client, lab: ChainLab, dropped: Sent, desk: TradingDesk
) -> None:
    lab.clock.pass_slots(FOR_EVER)
    settlement.settle([dropped], desk=desk)

    assert listed(root.get(ORDERS, {"q": dropped.signature})) == [dropped.order_id]


@pytest.mark.django_db
def test_a_client_order_id_may_look_like_an_order_id(root: Client, account: Account) -> None:
    name = "01a1fd4c-ef08-7332-9646-bb96946cec96"
    order = place(account, client_order_id=name)

    assert listed(root.get(ORDERS, {"q": name})) == [order.id]


@pytest.mark.parametrize("part", ["bot", "ot:1", "%", "' OR 1=1 --", "\x00"])
@pytest.mark.django_db
def test_a_search_is_exact(root: Client, account: Account, part: str) -> None:
    order = place(account, client_order_id="bot:1")

    # A null byte is refused with a message, and searches for nothing.
    assert listed(root.get(ORDERS, {"q": part})) == ([order.id] if part == "\x00" else [])


@pytest.mark.django_db
def test_filters_narrow_by_status(root: Client, account: Account) -> None:
    pending = order_at(Status.PENDING, account)
    submitted = order_at(Status.SUBMITTED, account)
    failed = order_at(Status.FAILED, account)

    assert listed(root.get(ORDERS, {"status": "failed"})) == [failed.id]
    assert listed(root.get(ORDERS, {"status": "submitted"})) == [submitted.id]
    assert listed(root.get(ORDERS, {"status": "unfinished"})) == [submitted.id, pending.id]
    assert listed(root.get(ORDERS, {"status": "cancelled"})) == []


@pytest.mark.django_db
def test_filters_narrow_by_tokens_and_time(root: Client, account: Account) -> None:
    sold_sol = place(account)
    sold_usdc = place(account, token_in="USDC", token_out="SOL")

    assert listed(root.get(ORDERS, {"token_in": "SOL"})) == [sold_sol.id]
    assert listed(root.get(ORDERS, {"token_out": "SOL"})) == [sold_usdc.id]
    assert listed(root.get(ORDERS, {"token_in": "SOL", "token_out": "BONK"})) == []
    assert listed(root.get(ORDERS, {"created": "hour"})) == [sold_usdc.id, sold_sol.id]
    Order.objects.update(created_at=F("created_at") - timedelta(hours=2))
    assert listed(root.get(ORDERS, {"created": "hour"})) == []
    assert len(listed(root.get(ORDERS, {"created": "day"}))) == 2


@on_real_commits
def test_filters_narrow_by_venue(root: Client, account: Account, desk: TradingDesk) -> None:
    order = place(account)
    execution.execute(order.id, desk=without(desk, "meteora"))

    assert listed(root.get(ORDERS, {"venue": "raydium"})) == [order.id]
    assert listed(root.get(ORDERS, {"venue": "meteora"})) == []


@on_real_commits
def test_filters_narrow_to_what_is_in_doubt_or_to_be_cancelled(
    root: Client, lab: ChainLab, account: Account, dropped: Sent, desk: TradingDesk
) -> None:
    place(account)
    desk, node = behind(desk)
    node.genesis_hash = "another cluster"
    lab.clock.pass_slots(FOR_EVER)
    settlement.settle([dropped], desk=desk)
    intake.cancel_order(dropped.order_id, account_id=account.pk)

    for asked in ({"in_doubt": "yes"}, {"cancel_requested": "yes"}):
        orders = root.get(ORDERS, asked)
        assert listed(orders) == [dropped.order_id]
        assert "submitted in doubt cancel requested" in text_of(orders)


@pytest.mark.django_db
def test_an_account_leads_to_its_orders(root: Client, account: Account) -> None:
    order = place(account)
    place(accounts.create_account("bob"))

    page = root.get(f"{ACCOUNTS}{account.pk}/change/").content.decode()

    (address,) = set(re.findall(rf'href="({ORDERS}\?[^"]*)"', page))
    assert listed(root.get(address)) == [order.id]


@pytest.mark.parametrize(
    "asked",
    [{"error_message__icontains": "x"}, {"tx_hash": "x"}, {"account__name__contains": "a"}],
)
@pytest.mark.django_db
def test_columns_that_no_filter_offers_can_not_be_looked_up(
    root: Client, asked: dict[str, str]
) -> None:
    assert root.get(ORDERS, asked).status_code == 400


@pytest.mark.django_db
def test_a_filter_value_that_can_not_be_is_no_error(root: Client, account: Account) -> None:
    place(account)

    for asked in ({"status": "x"}, {"venue": "x"}, {"created": "x"}, {"in_doubt": "x"}, {"p": "9"}):
        assert root.get(ORDERS, asked, follow=True).status_code == 200
    for asked in ({"id__lt": "x"}, {"account": "x"}):
        assert root.get(ORDERS, asked, follow=True).status_code == 200


# --- What it costs ----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_list_costs_the_same_few_queries_whatever_is_listed(
    root: Client, account: Account
) -> None:
    for _ in range(60):
        place(account)
    name = {"q": str(Order.objects.latest("id").id)}

    for asked in ({}, {"p": "2"}, {"status": "pending"}, {"created": "day"}, name):
        with CaptureQueriesContext(connection) as queries:
            root.get(ORDERS, asked)
        of_orders = [query["sql"] for query in queries if '"orders_' in query["sql"]]
        assert len(queries) <= 6
        assert not [sql for sql in of_orders if "COUNT(" in sql.upper() or " LIKE " in sql.upper()]


@pytest.mark.django_db
def test_the_list_reads_only_what_it_lists(root: Client, account: Account) -> None:
    place(account)

    with CaptureQueriesContext(connection) as queries:
        root.get(ORDERS)

    (ids, *_) = [query["sql"] for query in queries if '"orders_order"' in query["sql"]]
    assert ids.endswith(f'ORDER BY "orders_order"."id" DESC LIMIT {order_list.MAX_LISTED + 1}')


@pytest.mark.django_db
def test_an_order_page_costs_the_same_few_queries_however_long_its_story(
    root: Client, account: Account
) -> None:
    counts = []
    root.get(order_page(place(account)))  # content types are read once in a process's life
    for status in (Status.PENDING, Status.CONFIRMED):
        order = order_at(status, account)
        with CaptureQueriesContext(connection) as queries:
            root.get(order_page(order))
        counts.append(len(queries))

    assert counts[0] == counts[1] <= 6


@pytest.mark.django_db
def test_the_list_leads_on_to_older_orders(
    root: Client, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_list, "MAX_LISTED", 4)
    monkeypatch.setattr(OrderAdmin, "list_per_page", 2)
    ids = sorted((place(account).id for _ in range(5)), reverse=True)

    assert listed(root.get(ORDERS)) == ids[:2]
    second = root.get(ORDERS, {"p": "2"})
    assert listed(second) == ids[2:4]
    assert "the newest 4 that fit" in text_of(second)
    (older,) = re.findall(r'href="(\?id__lt=[^"]*)"', second.content.decode())
    last = root.get(ORDERS + unescape(older))
    assert listed(last) == ids[4:]
    assert "1 order " in text_of(last)


# --- What it refuses --------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_not_even_a_superuser_adds_changes_or_deletes_an_order(
    root: Client, account: Account
) -> None:
    order = order_at(Status.SUBMITTED, account)
    before = snapshot()
    form = {"status": "confirmed", "client_order_id": "mine", "events-TOTAL_FORMS": "0"}

    for address in (f"{ORDERS}add/", order_page(order), f"{ORDERS}{order.id}/delete/"):
        assert root.post(address, {**form, "post": "yes", "_saveasnew": "1"}).status_code == 403
    assert root.get(f"{ORDERS}add/").status_code == 403
    assert root.get(f"{ORDERS}{order.id}/delete/").status_code == 403
    root.post(ORDERS, {"action": "delete_selected", "_selected_action": [order.id], "post": "yes"})

    assert snapshot() == before


def snapshot() -> list[list[tuple[object, ...]]]:
    return [list(model.objects.order_by("pk").values_list()) for model in (Order, OrderEvent)] + [
        list(OrderAttempt.objects.order_by("pk").values_list("pk", "state", "signature"))
    ]


@pytest.mark.django_db
def test_attempts_and_events_have_no_pages_of_their_own(root: Client) -> None:
    for model in ("orderattempt", "orderevent", "streamticket"):
        assert root.get(f"/admin/orders/{model}/").status_code == 404


@pytest.mark.django_db
def test_an_order_page_offers_nothing_to_fill_in(root: Client, account: Account) -> None:
    body = root.get(order_page(order_at(Status.SUBMITTED, account))).content.decode()

    assert set(re.findall(r'<input type="(\w+)"', body)) <= {"hidden", "search"}
    assert 'name="_save"' not in body
    assert "deletelink" not in body


@on_real_commits
def test_an_auditor_with_the_view_permission_sees_an_order_with_its_history(
    auditor: Client, confirmed: Order, on_this_chain: TradingDesk
) -> None:
    assert listed(auditor.get(ORDERS)) == [confirmed.id]
    page = text_of(auditor.get(order_page(confirmed)))
    assert "Order accepted." in page
    assert f"Attempt: {confirmed.id}:1" in page
    assert "On chain" in text_of(auditor.get(transaction_page(confirmed.tx_hash)))
    for address in (KEYS, f"{KEYS}add/", ACCOUNTS, f"{ACCOUNTS}add/", f"{ORDERS}add/"):
        assert auditor.get(address).status_code == 403


@pytest.mark.django_db
def test_without_a_permission_there_is_nothing_to_see(account: Account) -> None:
    nobody = staff("nobody")
    addresses = [
        ORDERS,
        order_page(place(account)),
        transaction_page(UNSEEN_SIGNATURE),
        KEYS,
        ACCOUNTS,
    ]

    for address in addresses:
        assert nobody.get(address).status_code == 403
        answer = Client().get(address)
        assert (answer.status_code, answer.url[:13]) == (302, "/admin/login/")


# --- Chain transactions -----------------------------------------------------------------------------------------------


@on_real_commits
def test_a_transaction_is_shown_as_recorded_and_as_the_chain_tells_it(
    root: Client, confirmed: Order, on_this_chain: TradingDesk
) -> None:
    (receipt,) = on_this_chain.chain.transactions([confirmed.tx_hash])
    assert receipt

    response = root.get(transaction_page(confirmed.tx_hash))

    record, chain = text_of(response).split("On chain", 1)
    for side in (record, chain):
        assert f"{confirmed.id}:1" in side
        assert "Amount in 1.5 SOL" in side
    assert f"Slot {receipt.slot}" in chain
    assert receipt.signer in chain
    assert receipt.pool in chain
    assert "Fee 0.000005 SOL" in chain
    assert f'href="{order_page(confirmed)}#attempts-0"' in response.content.decode()
    assert "another one" not in record


@on_real_commits
def test_an_order_page_leads_to_its_transactions(root: Client, confirmed: Order) -> None:
    body = root.get(order_page(confirmed)).content.decode()

    # From the order, and from its attempt.
    assert body.count(f'href="{transaction_page(confirmed.tx_hash)}"') >= 2
    assert 'id="attempts-0"' in body


@on_real_commits
def test_a_transaction_that_never_arrived_is_not_known_to_the_chain(
    root: Client, dropped: Sent, on_this_chain: TradingDesk
) -> None:
    page = text_of(root.get(transaction_page(dropped.signature)))

    assert "Not known to the chain." in page
    assert f"Attempt {dropped.order_id}:1" in page
    assert f"Last valid block height {dropped.last_valid_block_height}" in page


@pytest.mark.django_db
def test_a_signature_that_nobody_knows_is_said_to_be_unknown(
    root: Client, on_this_chain: TradingDesk
) -> None:
    page = text_of(root.get(transaction_page(UNSEEN_SIGNATURE)))

    assert "No attempt on record has this signature." in page
    assert "Not known to the chain." in page


@on_real_commits
def test_a_second_transaction_for_an_attempt_is_called_out(
    root: Client, lab: ChainLab, confirmed: Order, on_this_chain: TradingDesk
) -> None:
    """What must never happen is what an auditor looks for."""
    twin = lab.swap_transaction(on_this_chain.chain, f"{confirmed.id}:1")  # type: ignore[arg-type]
    on_this_chain.chain.send(twin.raw)

    page = text_of(root.get(transaction_page(twin.signature)))

    assert "The memo names an attempt whose recorded transaction is another one." in page
    assert "No attempt on record has this signature." in page


@pytest.mark.django_db
def test_a_memo_that_is_not_ours_is_shown_with_base_units(
    root: Client, lab: ChainLab, on_this_chain: TradingDesk
) -> None:
    foreign = lab.swap_transaction(on_this_chain.chain, "gm")  # type: ignore[arg-type]
    on_this_chain.chain.send(foreign.raw)

    page = text_of(root.get(transaction_page(foreign.signature)))

    assert "Memo gm" in page
    assert "Amount in 1000000000 base units" in page


@on_real_commits
def test_while_the_chain_is_away_the_record_is_still_shown(
    root: Client, confirmed: Order, desk: TradingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, node = behind(desk)
    node.is_down = True
    monkeypatch.setattr(transactions, "exchange", lambda: desk)

    response = root.get(transaction_page(confirmed.tx_hash))

    page = text_of(response, status=503)
    assert "The chain can't be asked now: the node is down." in page
    assert f"Attempt {confirmed.id}:1" in page


@pytest.mark.parametrize("signature", ["x", "0" * 87, "5" * 89, "%00"])
@pytest.mark.django_db
def test_what_can_not_be_a_signature_has_no_page(root: Client, signature: str) -> None:
    assert root.get(transaction_page(signature)).status_code == 404


# --- Accounts and keys ------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_account_can_be_added_and_is_never_deleted(root: Client) -> None:
    assert root.post(f"{ACCOUNTS}add/", {"name": "carol"}).status_code == 302
    carol = Account.objects.get(name="carol")

    assert root.post(f"{ACCOUNTS}{carol.pk}/change/", {"name": "dave"}).status_code == 403
    assert root.post(f"{ACCOUNTS}{carol.pk}/delete/", {"post": "yes"}).status_code == 403
    assert b"already exists" in root.post(f"{ACCOUNTS}add/", {"name": "carol"}).content
    assert Account.objects.filter(name="carol").exists()


@pytest.mark.django_db
def test_a_new_key_is_shown_once_and_stored_nowhere(root: Client, account: Account) -> None:
    response = root.post(f"{KEYS}add/", {"account": account.pk, "label": "staging bot"})

    (clear,) = set(re.findall(r"oee_[\w-]{43}", response.content.decode()))
    assert "no-store" in response["Cache-Control"]
    assert accounts.account_of_key(clear) == account
    assert "messages" not in root.cookies
    assert clear not in everything_stored()
    for address in (KEYS, f"{KEYS}{ApiKey.objects.get().pk}/change/", "/admin/"):
        assert clear not in root.get(address).content.decode()


def everything_stored() -> str:
    return "\n".join(str(list(model.objects.values())) for model in apps.get_models())


@pytest.mark.django_db
def test_the_log_says_who_issued_and_who_revoked_a_key(root: Client, account: Account) -> None:
    accounts.issue_key(account=account, label="bot")
    root.post(f"{KEYS}add/", {"account": account.pk, "label": "bot"})
    key = ApiKey.objects.latest("id")
    revoke(root, key)

    entries = LogEntry.objects.filter(object_id=str(key.pk)).order_by("pk")
    assert [str(entry) for entry in entries] == [f"Added “{key}”.", f"Changed “{key}” — Revoked."]


@pytest.mark.django_db
def test_a_key_needs_an_account_and_a_label(root: Client, account: Account) -> None:
    for form in ({"account": account.pk}, {"label": "bot"}, {"account": "0", "label": "bot"}):
        assert root.post(f"{KEYS}add/", form).status_code == 200
    assert not ApiKey.objects.exists()


@pytest.mark.django_db
def test_a_key_can_be_revoked_by_name_and_in_no_other_way_be_touched(
    root: Client, account: Account
) -> None:
    clear, _ = accounts.issue_key(account=account, label="bot")
    other, _ = accounts.issue_key(account=account, label="other bot")
    key = ApiKey.objects.get(label="bot")

    for address in (f"{KEYS}{key.pk}/change/", f"{KEYS}{key.pk}/delete/"):
        assert root.post(address, {"label": "mine", "post": "yes"}).status_code == 403
    assert accounts.account_of_key(clear) == account
    page = text_of(revoke(root, key))

    assert "Keys revoked: 1." in page
    assert accounts.account_of_key(clear) is None
    assert accounts.account_of_key(other) == account
    assert "Keys revoked: 0." in text_of(revoke(root, key))


@pytest.mark.django_db
def test_whoever_may_only_view_keys_can_neither_issue_nor_revoke_one(account: Account) -> None:
    clear, _ = accounts.issue_key(account=account, label="bot")
    viewer = staff("viewer", "view_apikey")

    assert "bot" in text_of(viewer.get(KEYS))
    revoke(viewer, ApiKey.objects.get())
    assert viewer.post(f"{KEYS}add/", {"account": account.pk, "label": "x"}).status_code == 403

    assert accounts.account_of_key(clear) == account
    assert ApiKey.objects.count() == 1


def revoke(client: Client, key: ApiKey) -> HttpResponse:
    chosen = {"action": "revoke", "_selected_action": [key.pk], "index": "0"}
    return client.post(KEYS, chosen, follow=True)


@pytest.mark.django_db
def test_the_console_has_a_name(root: Client) -> None:
    front = text_of(root.get("/admin/"))

    assert "Order Execution Engine" in front
    assert "Audit console" in front
