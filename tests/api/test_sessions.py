"""What people who signed in may ask of the API, and what nobody can make their browsers ask."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orders.models import Account, Member, Order
from tests.api.client import EXECUTE, ORDER, assert_problem
from tests.factories import NOBODYS, place

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def person(account: Account) -> User:
    person = User.objects.create_user("trader", password="correct horse")
    Member.objects.create(user=person, account=account)
    return person


@pytest.fixture
def signed_in(person: User) -> Client:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(person)
    return client


def submit(client: Client, **headers: str) -> Any:
    return client.post(EXECUTE, data=ORDER, content_type="application/json", headers=headers)


def with_token(client: Client) -> dict[str, str]:
    """As a page has it, which rendered a form."""
    client.get("/")
    return {"X-CSRFToken": client.cookies["csrftoken"].value}


def test_a_session_speaks_for_the_account_of_its_person(
    signed_in: Client, account: Account
) -> None:
    mine = place(account)
    place(Account.objects.create(name="bob"))

    listed = signed_in.get("/api/orders").json()["orders"]
    placed = submit(signed_in, **with_token(signed_in))

    assert [order["orderId"] for order in listed] == [str(mine.id)]
    assert placed.status_code == 201
    assert Order.objects.get(id=placed.json()["orderId"]).account == account


@pytest.mark.parametrize("headers", [{}, {"X-CSRFToken": "x" * 64}])
def test_what_changes_something_needs_the_token_of_a_page(
    signed_in: Client, headers: dict[str, str]
) -> None:
    signed_in.get("/")

    problem = assert_problem(submit(signed_in, **headers), 403)

    assert problem["code"] == "CSRF_FAILED"
    assert Order.objects.count() == 0


def test_a_key_in_a_header_needs_no_token_whatever_cookies_come_along(
    signed_in: Client, api_key: str
) -> None:
    assert submit(signed_in, Authorization=f"Bearer {api_key}").status_code == 201


def test_a_wrong_key_is_refused_though_somebody_is_signed_in(signed_in: Client) -> None:
    response = signed_in.get("/api/orders", headers={"Authorization": "Bearer wrong"})

    assert assert_problem(response, 401)["code"] == "NOT_AUTHENTICATED"


def test_who_is_no_member_is_told_so(db: None) -> None:
    client = Client()
    client.force_login(User.objects.create_user("visitor"))

    assert assert_problem(client.get("/api/orders"), 403)["code"] == "NO_ACCOUNT"


def test_a_session_ends_with_its_person(signed_in: Client, person: User) -> None:
    assert signed_in.get("/api/orders").status_code == 200

    person.is_active = False
    person.save()

    assert assert_problem(signed_in.get("/api/orders"), 401)["code"] == "NOT_AUTHENTICATED"


def test_nobody_comes_in_with_a_made_up_session(db: None) -> None:
    client = Client()
    client.cookies["sessionid"] = "made-up"

    assert assert_problem(client.get("/api/orders"), 401)["code"] == "NOT_AUTHENTICATED"


@pytest.mark.parametrize(
    "address", ["/", "/orders/x", "/nowhere", "/api/orders", f"/api/orders/{NOBODYS}"]
)
def test_what_depends_on_who_is_signed_in_is_kept_by_no_cache(
    signed_in: Client, address: str
) -> None:
    """Also not by the browser's own: Back would show it to whoever comes after a sign-out."""
    kept = signed_in.get(address)["Cache-Control"]

    assert "no-store" in kept
    assert "private" in kept


def test_static_files_are_kept(signed_in: Client) -> None:
    assert "no-store" not in signed_in.get("/static/design.css")["Cache-Control"]


@pytest.mark.parametrize("address", ["/", "/admin/", "/nowhere", "/api/orders"])
def test_a_session_that_no_database_can_hold_is_refused(address: str) -> None:
    client = Client(raise_request_exception=False)
    client.cookies["sessionid"] = "made\0up"

    assert client.get(address).status_code == 400
