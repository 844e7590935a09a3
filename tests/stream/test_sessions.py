"""Sockets that a browser opens by its session: only for pages of the same address, and only while it is good."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client

from orders import accounts
from orders.models import Account, ApiKey, Member
from tests.engine import WebServer
from tests.factories import place
from tests.stream.client import Socket, later

pytestmark = pytest.mark.django_db(transaction=True)

Opens = Callable[..., AbstractAsyncContextManager[Socket]]


@pytest.fixture
def person(account: Account) -> User:
    person = User.objects.create_user("trader", password="correct horse")
    Member.objects.create(user=person, account=account)
    return person


@pytest.fixture
def browse(open_socket: Any, web: WebServer, person: User) -> Opens:
    """A socket as a browser opens it: with the cookie, from a page of `origin`."""
    client = Client()
    client.force_login(person)
    cookie = f"sessionid={client.cookies['sessionid'].value}"

    def browse(path: str, *, origin: str | None = f"http://127.0.0.1:{web.port}") -> Any:
        headers = {"Cookie": cookie}
        return open_socket(path, key=None, origin=origin, additional_headers=headers)

    return browse


async def test_a_page_follows_the_orders_of_its_persons_account(
    browse: Opens, account: Account
) -> None:
    async with browse("/ws/orders") as client:
        order = await later(lambda: place(account))
        told = await client.read()  # by an event, or by the snapshot if that was read later

    assert (told["orderId"], told["seq"]) == (str(order.id), 1)


@pytest.mark.parametrize(
    "origin", ["http://elsewhere.example", "http://127.0.0.1:1", "http://localhost", None]
)
async def test_a_page_of_another_address_is_refused_though_the_cookie_comes_along(
    browse: Opens, origin: str | None
) -> None:
    async with browse("/ws/orders", origin=origin) as client:
        messages, code = await client.read_to_the_end()

    assert [message["code"] for message in messages] == ["NOT_AUTHENTICATED"]
    assert code == 4401


async def test_a_session_that_no_database_can_hold_is_refused_like_any_other(
    open_socket: Any, web: WebServer
) -> None:
    headers = {"Cookie": 'sessionid="made\\000up"'}
    origin = f"http://127.0.0.1:{web.port}"

    async with open_socket("/ws/orders", key=None, origin=origin, additional_headers=headers) as it:
        (problem,), code = await it.read_to_the_end()

    assert (problem["code"], code) == ("NOT_AUTHENTICATED", 4401)


@pytest.mark.parametrize("end", ["signed out", "password", "inactive", "no member"])
async def test_a_socket_closes_when_its_session_is_good_no_more(
    browse: Opens, person: User, end: str
) -> None:
    def stop() -> None:
        if end == "signed out":
            Session.objects.all().delete()
        elif end == "password":
            person.set_password("another horse")
            person.save()
        elif end == "inactive":
            User.objects.update(is_active=False)
        else:
            Member.objects.all().delete()

    async with browse("/ws/orders") as client:
        await later(stop)
        _, code = await client.read_to_the_end()

    assert code == 4401


async def test_a_socket_by_session_stays_when_the_accounts_keys_are_revoked(
    browse: Opens, account: Account
) -> None:
    async with browse("/ws/orders") as client:
        await later(lambda: [accounts.revoke_key(key) for key in ApiKey.objects.all()])
        order = await later(lambda: place(account))
        first = await client.read()
        heartbeat = await client.read_any(timeout_s=15)  # long after it would have been locked out

    assert first["orderId"] == str(order.id)
    assert heartbeat["type"] == "heartbeat"


@pytest.fixture
def take_ticket(person: User) -> Callable[[], str]:
    """As a page of the account's member takes it."""

    def take_ticket() -> str:
        client = Client()
        client.force_login(person)
        return str(client.post("/api/stream-tickets").json()["ticket"])

    return take_ticket


async def test_a_ticket_that_a_member_took_opens_a_socket_for_an_account_without_keys(
    open_socket: Any, take_ticket: Callable[[], str], account: Account
) -> None:
    ticket = await later(take_ticket)
    await later(lambda: ApiKey.objects.all().delete())

    async with open_socket(f"/ws/orders?ticket={ticket}", key=None) as client:
        order = await later(lambda: place(account))
        assert (await client.read())["orderId"] == str(order.id)
        assert (await client.read_any(timeout_s=15))["type"] == "heartbeat"


async def test_a_socket_by_a_members_ticket_closes_when_they_sign_out(
    open_socket: Any, take_ticket: Callable[[], str], account: Account, api_key: str
) -> None:
    """Though the account has a key, and they are its member still."""
    ticket = await later(take_ticket)

    async with open_socket(f"/ws/orders?ticket={ticket}", key=None) as client:
        await later(lambda: Session.objects.all().delete())
        _, code = await client.read_to_the_end()

    assert code == 4401
