"""What browsers get compressed, and that they need not get it twice."""

import gzip

import pytest
from django.test import Client

from orders import accounts
from orders.models import Account
from tests.factories import place

BROWSER = {"Accept-Encoding": "gzip, deflate, br"}


def test_a_file_is_compressed_and_asked_for_again_by_its_tag() -> None:
    first = Client().get("/static/design.css", headers=BROWSER)
    content = gzip.decompress(b"".join(first.streaming_content))  # type: ignore[attr-defined]

    again = Client().get(
        "/static/design.css", headers={**BROWSER, "If-None-Match": first.headers["ETag"]}
    )

    assert content.startswith(b"/* The design system")
    assert again.status_code == 304


def test_a_file_stays_as_it_is_for_those_who_can_not_unpack_it() -> None:
    answer = Client().get("/static/design.css")

    assert "Content-Encoding" not in answer.headers


@pytest.mark.django_db
def test_a_program_gets_its_answers_as_they_are() -> None:
    account: Account = accounts.create_account("a program's")
    key, _ = accounts.issue_key(account=account, label="")
    for _ in range(5):
        place(account)

    answer = Client().get("/api/orders", headers={**BROWSER, "Authorization": f"Bearer {key}"})

    assert answer.status_code == 200
    assert "Content-Encoding" not in answer.headers
