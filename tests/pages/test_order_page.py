"""The page of an order: who may open it, and what stands there."""

import json
import re
import shlex
from html import unescape
from itertools import pairwise
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from orders import execution, intake
from orders.exchange import TradingDesk
from orders.lifecycle import Status
from orders.models import Account, Order
from tests.admin.console import logged_in, on_real_commits, staff, text_of
from tests.api.client import EXECUTE, Api
from tests.desks import without
from tests.factories import move, order_at, place

HOSTILE = """"><script>alert(1)</script>'; rm -rf $HOME"""


def page_of(order: Order) -> str:
    return f"/orders/{order.id}"


def html_of(visitor: Client, address: str) -> str:
    response = visitor.get(address)
    assert response.status_code == 200, response
    return response.content.decode()


# --- Who may open it --------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_members_of_its_account_see_an_order_and_others_hear_that_there_is_none(
    account: Account, member: Client, stranger: Client
) -> None:
    order = place(account)

    assert "1.5 SOL → USDC" in text_of(member.get(page_of(order)))
    refused = stranger.get(page_of(order))
    assert "There is no such order" in text_of(refused, status=404)
    assert "1.5 SOL" not in refused.content.decode()


@pytest.mark.django_db
def test_staff_who_may_view_orders_see_any_and_other_staff_see_none(account: Account) -> None:
    order = place(account)

    auditor = html_of(staff("auditor", "view_order"), page_of(order))
    assert 'data-follows="poll"' in auditor  # an order's socket is its account's
    assert 'id="cancel"' not in auditor
    assert f"/admin/orders/order/{order.id}/change/" in auditor
    assert staff("clerk").get(page_of(order)).status_code == 404


@pytest.mark.django_db
def test_a_permission_without_the_console_opens_nothing(account: Account) -> None:
    user = User.objects.create_user("retired")
    user.user_permissions.set(Permission.objects.filter(codename="view_order"))

    assert logged_in(user).get(page_of(place(account))).status_code == 404


@pytest.mark.django_db
def test_whoever_is_not_signed_in_is_asked_to(account: Account) -> None:
    address = page_of(place(account))

    response = Client().get(address)

    assert response.status_code == 302
    assert response.headers["Location"] == f"/sign-in?next={address}"


@pytest.mark.parametrize(
    "order_id", ["1", "x" * 2000, "01a22e07-c937-7766-a5ad-89d31af6aa79", "{}", "..%2f"]
)
@pytest.mark.django_db
def test_what_is_no_order_has_the_404_of_all_pages(member: Client, order_id: str) -> None:
    assert "There is nothing here" in text_of(member.get(f"/orders/{order_id}"), status=404)


@pytest.mark.django_db
def test_an_id_that_is_spelled_otherwise_leads_to_its_page(
    account: Account, member: Client
) -> None:
    order = place(account)

    response = member.get(f"/orders/{order.id.hex.upper()}")

    assert (response.status_code, response.headers["Location"]) == (302, page_of(order))


@pytest.mark.django_db
def test_nothing_keeps_the_page_and_only_reading_is_allowed(
    account: Account, member: Client
) -> None:
    order = place(account)

    assert "no-store" in member.get(page_of(order)).headers["Cache-Control"]
    assert member.post(page_of(order)).status_code == 405


# --- What stands there ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.django_db
def test_an_order_has_a_page_at_every_status(
    account: Account, member: Client, status: Status
) -> None:
    order = order_at(status, account)

    body = html_of(member, page_of(order))

    follows = "" if order.is_final else "socket"
    assert f'data-follows="{follows}"' in body
    assert f'data-seq="{order.last_seq}"' in body
    assert ('id="cancel"' in body) is not order.is_final
    assert not re.search(r"\bNone\b|undefined", text_of(member.get(page_of(order))))


@on_real_commits
def test_a_confirmed_order_tells_its_whole_story(member: Client, confirmed: Order) -> None:
    body = html_of(member, page_of(confirmed))
    page = text_of(member.get(page_of(confirmed)))

    assert "Sold 20,000 SOL for" in page
    assert "better than the best single pool" in page
    assert "bot:1" in page
    attempt = confirmed.attempts.get()
    assert attempt.receipt
    for leg in attempt.receipt["legs"]:
        assert leg["pool"] in body
        assert f"{leg['sharePct']:g} %" in page
    for quote in attempt.quotes:
        assert quote.get("lostBecause", "")[1:].replace("'", "’") in page.replace("'", "’")
    for event in confirmed.events.all():
        assert event.message in page
    for part in ("Spread", "Pool fees", "Price impact", "Improvement", "Drift", "Network fee"):
        assert part in page
    assert f'href="/transactions/{confirmed.tx_hash}"' in body
    assert "Market" in page and "Limit" in page and "Executed" in page


@on_real_commits
def test_a_failed_order_explains_itself(
    account: Account, member: Client, desk: TradingDesk
) -> None:
    order = place(account)
    execution.execute([order.id], desk=without(desk, "raydium", "meteora"))

    page = text_of(member.get(page_of(order)))

    assert "Attempt 1 came to nothing: no venue gave a quote" in page
    assert "VENUE_DOWN" in page and "Raydium is down" in page
    assert "No transaction of this attempt was ever sent, so none can land." in page
    assert "Waiting to begin" in page


@pytest.mark.django_db
def test_a_doubt_is_shown_with_its_timer(account: Account, member: Client) -> None:
    order = order_at(Status.SUBMITTED, account)
    move(order, Status.SUBMITTED, message="No node knows.", in_doubt=True, next_check_in_s=1.0)

    body = html_of(member, page_of(order))

    order.refresh_from_db()
    assert order.in_doubt_since
    assert f'data-since="{order.in_doubt_since.isoformat()}"' in body
    assert 'data-every-s="1.0"' in body
    assert "No node knows." in body


@pytest.mark.django_db
def test_a_cancel_that_was_asked_for_is_not_offered_again(account: Account, member: Client) -> None:
    order = order_at(Status.SUBMITTED, account)
    intake.cancel_order(order.id, account_id=account.pk)

    body = html_of(member, page_of(order))

    assert 'id="cancel"' not in body
    assert "cancel requested" in body


@pytest.mark.django_db
def test_what_clients_wrote_is_escaped(account: Account, member: Client) -> None:
    order = place(account, client_order_id=HOSTILE)

    body = html_of(member, page_of(order))

    assert "<script>alert(1)" not in body
    assert "&lt;script&gt;alert(1)" in body


@on_real_commits
def test_nothing_on_the_page_needs_a_laxer_policy(member: Client, confirmed: Order) -> None:
    response = member.get(page_of(confirmed))

    body = response.content.decode()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", body)
    assert all("src=" in script for script in re.findall(r"<script[^>]*>", body))
    assert "unsafe" not in response.headers["Content-Security-Policy"]


@on_real_commits
def test_ids_are_unique_and_headings_step_down_one_at_a_time(
    member: Client, confirmed: Order
) -> None:
    body = html_of(member, page_of(confirmed))

    ids = re.findall(r'\sid="([^"]+)"', body)
    assert len(ids) == len(set(ids))
    levels = [int(level) for level in re.findall(r"<h([1-6])", body.split("<dialog")[0])]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    for table in re.findall(r"<table.*?</table>", body, re.DOTALL):
        assert "<caption" in table and 'scope="col"' in table


@on_real_commits
def test_the_json_is_what_the_api_answers(
    account: Account, member: Client, api_key: str, confirmed: Order
) -> None:
    body = html_of(member, page_of(confirmed))

    (text,) = re.findall(r'<pre id="json"[^>]*>(.*?)</pre>', body, re.DOTALL)
    answer = Api(api_key).get(f"/api/orders/{confirmed.id}")
    assert json.loads(unescape(text)) == answer.json()


@pytest.mark.django_db
def test_the_curl_places_such_an_order_again(
    account: Account, member: Client, api_key: str
) -> None:
    order = place(account, client_order_id=HOSTILE)
    (text,) = re.findall(
        r'<pre id="curl"[^>]*>(.*?)</pre>', html_of(member, page_of(order)), re.DOTALL
    )
    read, again = unescape(text).split("\n\n")

    assert shlex.split(read)[2] == f"http://testserver/api/orders/{order.id}"
    words = [word for word in shlex.split(again) if word.strip()]
    assert words[2] == f"http://testserver{EXECUTE}"
    answer = Api(api_key).post(EXECUTE, words[-1])
    assert answer.status_code == 201, answer.content
    assert answer.json()["orderId"] != str(order.id)
    for name in ("tokenIn", "tokenOut", "amount", "slippageBps"):
        assert answer.json()[name] == json.loads(words[-1])[name]


@pytest.mark.django_db
def test_place_again_leads_to_a_ticket_that_is_filled_in(account: Account, member: Client) -> None:
    body = html_of(member, page_of(place(account)))

    (address,) = re.findall(r'href="(/\?[^"]*)"', body)
    assert dict(parse_qsl(urlsplit(address.replace("&amp;", "&")).query)) == {
        "tokenIn": "SOL",
        "tokenOut": "USDC",
        "amount": "1.5",
        "slippageBps": "50",
    }


@pytest.mark.parametrize(("sold", "bought"), [("GONE", "USDC"), ("SOL", "GONE")])
@pytest.mark.django_db
def test_a_token_that_is_not_listed_any_more_is_shown_in_base_units(
    account: Account, member: Client, sold: str, bought: str
) -> None:
    order = order_at(Status.CONFIRMED, account, token_in=sold, token_out=bought)

    body = html_of(member, page_of(order))

    assert "base units of GONE" in body
    assert 'id="json"' not in body
