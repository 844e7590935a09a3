"""Who may ask, and how often."""

import time

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone

from orders import accounts
from orders.models import Account, ApiKey, Order
from tests.api.client import EXECUTE, ORDER, Api, assert_problem
from tests.factories import place

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    "header", [None, "Bearer wrong", "Bearer ", "Basic abc", "oee_x", "Bearer \xff"]
)
@pytest.mark.parametrize(
    "path", [EXECUTE, "/api/orders", "/api/stream-tickets", "/api/tokens", "/api/venues"]
)
def test_nobody_asks_without_a_valid_key(header: str | None, path: str) -> None:
    client = Client(
        headers={"Authorization": header} if header else {}, raise_request_exception=False
    )
    method = client.get if path in ("/api/orders", "/api/tokens", "/api/venues") else client.post

    response = method(path)

    assert assert_problem(response, 401)["code"] == "NOT_AUTHENTICATED"
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_a_revoked_key_opens_nothing(api: Api) -> None:
    assert api.get("/api/orders").status_code == 200

    accounts.revoke_key(ApiKey.objects.get())

    assert assert_problem(api.get("/api/orders"), 401)["code"] == "NOT_AUTHENTICATED"


def test_a_key_that_another_process_revoked_opens_nothing_a_moment_later(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert api.get("/api/orders").status_code == 200
    ApiKey.objects.update(revoked_at=timezone.now())
    assert api.get("/api/orders").status_code == 200  # it was valid a moment ago

    moment = time.monotonic() + accounts.KEY_VALID_S
    monkeypatch.setattr(accounts.time, "monotonic", lambda: moment)

    assert assert_problem(api.get("/api/orders"), 401)["code"] == "NOT_AUTHENTICATED"


def test_a_key_is_kept_as_its_digest_only(api_key: str) -> None:
    kept = ApiKey.objects.values().get()

    assert api_key not in str(kept)
    assert kept["prefix"] == api_key[:10]


def test_somebody_elses_order_does_not_exist(api: Api) -> None:
    theirs = place(Account.objects.create(name="bob"))

    for response in (
        api.get(f"/api/orders/{theirs.id}"),
        api.post(f"/api/orders/{theirs.id}/cancel"),
    ):
        assert assert_problem(response, 404)["code"] == "ORDER_NOT_FOUND"
    assert api.get("/api/orders").json()["orders"] == []
    assert Order.objects.get().status == "pending"


def test_an_account_is_throttled_and_told_when_to_come_back(
    api: Api, settings: LazySettings
) -> None:
    settings.ORDER_RATE_LIMIT = (2, 3600)

    answers = [api.post(EXECUTE, ORDER) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert answers[2].json()["code"] == "RATE_LIMITED"
    assert 0 < int(answers[2]["Retry-After"]) <= 3601
    assert Order.objects.count() == 2
