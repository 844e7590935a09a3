"""The doors: who may come in, and how often one may try."""

from typing import Any
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client

from tests.waiting import wait_until

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"
DOORS = ("/sign-in", "/admin/login/")


@pytest.fixture
def person(settings: LazySettings) -> User:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # quick
    return User.objects.create_user(f"person-{uuid4()}", password=PASSWORD, is_staff=True)


def knock(name: str, password: str, *, door: str = "/sign-in", to: str = "/ops/") -> Any:
    return Client().post(door, {"username": name, "password": password, "next": to})


@pytest.mark.parametrize("door", DOORS)
def test_who_tries_too_often_is_not_let_in_by_the_right_password_either(
    person: User, door: str
) -> None:
    def is_shut(door: str) -> bool:
        answer = knock(person.username, PASSWORD, door=door)
        return answer.status_code == 200 and "too often" in answer.content.decode()

    assert not is_shut(door)
    wait_until(lambda: is_shut(door), timeout_s=30, what="a door that stays shut")

    assert is_shut("/sign-in")
    assert is_shut("/admin/login/")
    other = User.objects.create_user(f"person-{uuid4()}", password=PASSWORD, is_staff=True)
    assert knock(other.username, PASSWORD, door=door).status_code == 302


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "to", ["https://elsewhere.example/", "//elsewhere.example", "javascript:x"]
)
def test_the_door_leads_nowhere_else(person: User, door: str, to: str) -> None:
    answer = knock(person.username, PASSWORD, door=door, to=to)

    assert answer.status_code == 302
    assert answer["Location"] in ("/", "/admin/")
