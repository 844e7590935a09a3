"""Accounts and keys in the console."""

import re

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.http import HttpResponse
from django.test import Client

from orders import accounts
from orders.models import Account, ApiKey
from tests.admin.console import (
    ACCOUNTS,
    KEYS,
    staff,
    text_of,
)


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
