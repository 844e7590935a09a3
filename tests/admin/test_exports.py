"""Exports in the console: who may ask for what, what the pages say, and the file."""

import csv
import gzip
import io
import re
from datetime import timedelta
from html import unescape

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.admin.sites import site
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.utils import timezone

from orders import exporting
from orders.admin import exports
from orders.lifecycle import Status
from orders.models import Account, Export, ExportState, Order
from tests.admin.console import ORDERS, listed, staff, text_of
from tests.factories import order_at, place

EXPORTS = "/admin/orders/export/"
ADD = f"{EXPORTS}add/"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nobody_executes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "GIVE_WAY_S", 0.0)


@pytest.fixture
def exporter(db: None) -> Client:
    return staff("exporter", "view_order", "export_order")


def ask(client: Client, query: str = "", format: str = "csv") -> Export:
    answer = client.post(f"{ADD}{query}", {"format": format})
    export = Export.objects.latest("id")
    assert (answer.status_code, answer.url) == (302, page(export))
    return export


def page(export: Export, name: str = "change") -> str:
    return f"{EXPORTS}{export.pk}/{name}/"


def written(client: Client, query: str = "", format: str = "csv") -> Export:
    export = ask(client, query, format)
    exporting.write_all()
    export.refresh_from_db()
    assert export.state == ExportState.DONE, export.error
    return export


def body_of(answer: HttpResponse) -> bytes:
    assert answer.status_code == 200, answer
    body = b"".join(answer.streaming_content)
    answer.close()
    assert answer.headers["Content-Length"] == str(len(body))
    return body


def ids_in(answer: HttpResponse) -> list[str]:
    rows = csv.DictReader(io.StringIO(body_of(answer).decode(), newline=""))
    return [row["orderId"] for row in rows]


def logged() -> list[str]:
    entries = LogEntry.objects.order_by("id")
    return [f"{entry.user}: {entry.get_change_message()}" for entry in entries]


def test_the_list_leads_to_an_export_of_what_it_lists(exporter: Client, account: Account) -> None:
    place(account)
    failed = order_at(Status.FAILED, account)
    orders = exporter.get(ORDERS, {"status": "failed", "p": "1"})

    (link,) = re.findall(rf'href="({ADD}\?[^"]*)"', orders.content.decode())
    asked = text_of(exporter.get(unescape(link)))
    assert "Orders: status: failed – 1 now." in asked
    export = written(exporter, unescape(link).removeprefix(ADD))

    assert ids_in(exporter.get(page(export, "download"))) == [str(failed.id)]
    assert export.words == "status: failed"
    (back,) = set(
        re.findall(rf'href="({ORDERS}\?[^"]*)"', exporter.get(page(export)).content.decode())
    )
    assert listed(exporter.get(unescape(back))) == [failed.id]


def test_every_filter_of_the_list_can_be_exported(root: Client, account: Account) -> None:
    place(account)
    order_at(Status.FAILED, account)
    order_at(Status.SUBMITTED, account, token_in="USDC", token_out="SOL")
    request = RequestFactory().get(ORDERS)
    request.user = User.objects.get(username="root")
    changelist = site.get_model_admin(Order).get_changelist_instance(request)

    queries = {
        choice["query_string"]
        for spec in changelist.filter_specs
        for choice in spec.choices(changelist)
    }
    assert len(queries) > 20
    monkeys = pytest.MonkeyPatch()
    monkeys.setattr(exports, "MOST_UNFINISHED", len(queries))
    asked = {query: ask(root, query) for query in queries}
    monkeys.undo()
    exporting.write_all()

    for query, export in asked.items():
        export.refresh_from_db()
        expected = [str(order_id) for order_id in listed(root.get(f"{ORDERS}{query}"))]
        assert ids_in(root.get(page(export, "download"))) == expected, query
        assert (export.words == "every order") == (query == "?"), query


def test_search_and_account_are_kept_and_pages_are_not(root: Client, account: Account) -> None:
    older = place(account, client_order_id="bot:1")
    newer = place(account)

    named = written(root, "?q=bot:1")
    of_account = written(root, f"?account={account.pk}&id__lt={newer.id}&p=7")

    assert named.words == "named “bot:1”"
    assert ids_in(root.get(page(named, "download"))) == [str(older.id)]
    assert of_account.words == "account: alice"
    assert ids_in(root.get(page(of_account, "download"))) == [str(newer.id), str(older.id)]


def test_filters_that_can_not_be_are_refused_with_a_sentence(exporter: Client) -> None:
    answer = exporter.get(f"{ADD}?account=x", follow=True)

    assert "The list's filters could not be read. Choose them again." in text_of(answer)
    assert exporter.get(f"{ADD}?error_message__icontains=x").status_code == 400


def test_a_filter_that_joins_other_tables_is_refused_with_a_sentence(
    exporter: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        site.get_model_admin(Order),
        "get_queryset",
        lambda request: Order.objects.filter(account__name="alice"),
    )

    assert "These filters can't be exported" in text_of(exporter.post(ADD, {"format": "csv"}))


def test_a_format_is_chosen(exporter: Client) -> None:
    assert "Select a valid choice" in text_of(exporter.post(ADD, {"format": "xlsx"}))
    assert "This field is required." in text_of(exporter.post(ADD))
    assert Export.objects.count() == 0


def test_the_page_says_how_far_it_is(
    exporter: Client, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        place(account)
    export = ask(exporter)
    assert exporter.get(page(export, "progress")).json() == {
        "state": "waiting",
        "percent": 0,
        "sentence": "Waiting for a worker; exports are written one at a time.",
        "pace": "",
        "isFinal": False,
    }
    monkeypatch.setattr(exporting, "IDS_AT_ONCE", 2)
    monkeypatch.setattr(exporting, "ROWS_OF_A_PART", 2)
    claimed = exporting.claim()
    assert claimed is not None
    exporting._Writer(claimed)._write_part(Order.objects.prefetch_related("account"))
    now = timezone.now()
    Export.objects.update(
        orders_to_see=8, started_at=now - timedelta(seconds=4), touched_at=now, state="running"
    )

    told = exporter.get(page(export, "progress")).json()

    assert told == {
        "state": "running",
        "percent": 25,
        "sentence": "2 orders written; 2 of about 8 looked through.",
        "pace": "0 orders a second, about 12 s left.",
        "isFinal": False,
    }
    running = exporter.get(page(export))
    assert 'value="25"' in running.content.decode()
    assert told["sentence"] in text_of(running)
    assert f'data-progress="{page(export, "progress")}"' in running.content.decode()


def test_the_page_of_an_export_that_is_done_offers_the_file_with_its_size(
    exporter: Client, account: Account
) -> None:
    place(account)
    export = written(exporter)

    done = exporter.get(page(export))

    assert "Done: 1 order written." in text_of(done)
    assert "Download compressed (gzip, " in text_of(done)
    assert "export.js" not in done.content.decode()
    assert exporter.get(page(export, "progress")).json()["percent"] == 100


def test_pages_hold_no_inline_script_or_style(exporter: Client) -> None:
    export = ask(exporter)

    for address in (ADD, page(export), EXPORTS):
        main = exporter.get(address).content.decode().partition('id="content-main"')[2]
        assert not re.search(r"<script(?![^>]* src=)|<style|\bstyle=|\bon\w+=", main)


def test_a_download_has_a_name_a_type_and_a_length(exporter: Client, account: Account) -> None:
    order = place(account)
    plain, lines = written(exporter), written(exporter, format="jsonl")

    # As browsers ask: what they keep is not compressed on its way, as pages are.
    answer = exporter.get(page(plain, "download"), headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in answer.headers
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
    name = rf'attachment; filename="orders-{plain.created_at:%Y%m%d-%H%M%S}Z\.csv"'
    assert re.fullmatch(name, answer.headers["Content-Disposition"])
    text = body_of(answer)
    compressed = exporter.get(page(plain, "download"), {"gz": ""})
    assert compressed.headers["Content-Disposition"].endswith('.csv.gz"')
    assert gzip.decompress(body_of(compressed)) == text
    answer = exporter.get(page(lines, "download"))
    assert answer.headers["Content-Type"] == "application/jsonl; charset=utf-8"
    assert f'"orderId":"{order.id}"'.encode() in body_of(answer)


def test_who_asked_for_what_and_who_took_it_is_logged(exporter: Client, account: Account) -> None:
    export = written(exporter, "?status=failed")
    body_of(exporter.get(page(export, "download")))
    other = ask(exporter, format="jsonl")
    exporter.post(page(other, "cancel"))

    assert logged() == [
        "exporter: Asked for an export: CSV, status: failed.",
        "exporter: Downloaded the export: CSV, status: failed.",
        "exporter: Asked for an export: JSON LINES, every order.",
        "exporter: Cancelled the export: JSON LINES, every order.",
    ]


def test_an_export_is_cancelled_once(exporter: Client) -> None:
    export = ask(exporter)

    assert exporter.get(page(export, "cancel")).status_code == 405
    cancelled = text_of(exporter.post(page(export, "cancel"), follow=True))
    again = text_of(exporter.post(page(export, "cancel"), follow=True))

    assert "The export is cancelled." in cancelled
    assert "Cancelled: nothing was kept." in cancelled
    assert "Ask for it again" in cancelled
    assert "nothing was cancelled" in again


def test_there_is_no_file_before_it_is_done_and_after_it_expired(
    exporter: Client, account: Account
) -> None:
    export = ask(exporter)
    assert "There is no file" in text_of(exporter.get(page(export, "download"), follow=True))
    exporting.write_all()
    Export.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert "There is no file" in text_of(exporter.get(page(export, "download"), follow=True))
    exporting.remove_expired()
    for name in ("change", "progress", "download"):
        assert exporter.get(page(export, name)).status_code == 404
    assert exporter.post(page(export, "cancel")).status_code == 404


def test_nobody_has_more_than_a_few_unfinished_exports(exporter: Client) -> None:
    for _ in range(exports.MOST_UNFINISHED):
        ask(exporter)

    refused = exporter.post(ADD, {"format": "csv"}, follow=True)

    assert "5 exports of yours are not finished. Wait for one, or cancel one." in text_of(refused)
    assert Export.objects.count() == exports.MOST_UNFINISHED


def test_only_a_few_downloads_take_a_thread_at_once(exporter: Client, account: Account) -> None:
    place(account)
    export = written(exporter)
    begun = [exporter.get(page(export, "download")) for _ in range(exports.MOST_DOWNLOADS)]

    refused = exporter.get(page(export, "download"), follow=True)
    assert "Others are downloading exports now. Try again in a minute." in text_of(refused)

    for answer in begun:
        answer.close()
    assert len(ids_in(exporter.get(page(export, "download")))) == 1


def test_both_permissions_are_needed_and_exports_are_ones_own(
    exporter: Client, auditor: Client, root: Client, account: Account
) -> None:
    export = written(exporter)
    colleague = staff("colleague", "view_order", "export_order")
    blind = staff("blind", "export_order")

    for client in (auditor, blind, staff("nobody")):
        for address in (EXPORTS, ADD, *(page(export, n) for n in ("change", "progress"))):
            assert client.get(address).status_code == 403, address
        assert client.post(ADD, {"format": "csv"}).status_code == 403
        assert client.post(page(export, "cancel")).status_code == 403
        assert client.get(page(export, "download")).status_code == 403
    assert Client().get(page(export, "download")).status_code == 302
    assert ADD not in auditor.get(ORDERS).content.decode()
    assert colleague.get(page(export)).status_code == 404
    assert colleague.get(page(export, "download")).status_code == 404
    assert page(export) not in colleague.get(EXPORTS).content.decode()
    for client in (exporter, root):
        assert page(export) in client.get(EXPORTS).content.decode()
        assert client.get(page(export)).status_code == 200


def test_not_even_a_superuser_changes_or_deletes_an_export(root: Client) -> None:
    export = ask(root)

    assert root.post(page(export, "delete"), {"post": "yes"}).status_code == 403
    root.post(EXPORTS, {"action": "delete_selected", "_selected_action": [export.pk]})

    assert Export.objects.get().pk == export.pk
    assert root.get(f"{EXPORTS}x/change/").status_code == 404
