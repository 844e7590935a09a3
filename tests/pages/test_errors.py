"""What people see when something is not there, not allowed, or broken."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client

from orders.models import Account, Member
from orders.pages import trade

pytestmark = pytest.mark.django_db


@pytest.fixture
def visitor(account: Account) -> Client:
    person = User.objects.create_user("trader", password="correct horse")
    Member.objects.create(user=person, account=account)
    client = Client(raise_request_exception=False)
    client.force_login(person)
    return client


def failing_with(error: Exception) -> Any:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def test_what_is_not_there(visitor: Client) -> None:
    response = visitor.get("/nowhere")

    assert response.status_code == 404
    assert b"There is nothing here" in response.content
    assert b"Sign out" in response.content  # it belongs to the others


def test_what_is_not_allowed(visitor: Client) -> None:
    response = visitor.get("/ops/")

    assert response.status_code == 403
    assert b"That is not yours to see" in response.content


def test_a_form_that_was_open_for_too_long(visitor: Client) -> None:
    stale = Client(enforce_csrf_checks=True)

    response = stale.post("/sign-in", {"username": "trader", "password": "correct horse"})

    assert response.status_code == 403
    assert b"load it again" in response.content


def test_a_page_that_breaks_tells_nothing_of_how(
    visitor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trade, "account_of_person", failing_with(RuntimeError("a secret")))

    response = visitor.get("/")

    assert response.status_code == 500
    assert b"Something went wrong" in response.content
    assert b"secret" not in response.content


def test_a_page_while_the_database_is_away(
    visitor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trade, "account_of_person", failing_with(OperationalError("gone")))

    response = visitor.get("/")

    assert response.status_code == 503
    assert response["Retry-After"] == "1"
    assert b"Try again" in response.content


@pytest.mark.parametrize("path", ["/api/nowhere", "/api/orders/execute/x/y"])
def test_below_the_api_a_client_gets_a_problem_document(visitor: Client, path: str) -> None:
    response = visitor.get(path)

    assert response.status_code == 404
    assert response["Content-Type"] == "application/problem+json"


def test_somebody_without_an_account_is_told_what_to_do() -> None:
    client = Client()
    client.force_login(User.objects.create_user("newcomer"))

    response = client.get("/")

    assert response.status_code == 200
    assert b"You trade for no account yet" in response.content
