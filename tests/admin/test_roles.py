"""Each role can do what it should, and is refused what it shouldn't."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.test import Client

from orders import roles
from orders.models import Account, ApiKey, Order
from orders.roles import ADMIN, AUDITOR, OPERATOR
from tests.admin.console import ACCOUNTS, KEYS, ORDERS, logged_in, order_page
from tests.factories import place

EVERYBODY = {AUDITOR, OPERATOR, ADMIN}
OPERATORS = {OPERATOR, ADMIN}

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def order(account: Account) -> Order:
    return place(account)


def of_role(role: str) -> Client:
    roles.bring_up_to_date()
    user = User.objects.create_user(f"{role}'s", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return logged_in(user)


LOOKS = [
    ("/admin/", EVERYBODY),
    (ORDERS, EVERYBODY),
    ("{order}", EVERYBODY),
    (f"{ORDERS}{{id}}/log/", EVERYBODY),
    (f"{ORDERS}{{id}}/history/", EVERYBODY),
    (ACCOUNTS, EVERYBODY),
    (KEYS, EVERYBODY),
    ("/admin/orders/venuestate/", EVERYBODY),
    ("/admin/orders/resolution/", EVERYBODY),
    ("/admin/admin/logentry/", EVERYBODY),
    (f"{ORDERS}cancel/?id={{id}}", OPERATORS),
    (f"{ORDERS}requeue/?id={{id}}", OPERATORS),
    (f"{KEYS}add/", {ADMIN}),
    (f"{ACCOUNTS}add/", {ADMIN}),
    ("/admin/auth/user/", {ADMIN}),
    ("/admin/auth/user/add/", {ADMIN}),
    ("/admin/auth/group/add/", set()),
    (f"{ORDERS}add/", set()),
    (f"{ORDERS}{{id}}/delete/", set()),
]


@pytest.mark.parametrize("role", sorted(EVERYBODY))
@pytest.mark.parametrize(("address", "allowed"), LOOKS)
def test_a_page_is_there_for_the_roles_that_may_see_it(
    order: Order, role: str, address: str, allowed: set[str]
) -> None:
    address = address.format(order=order_page(order), id=order.id)

    assert of_role(role).get(address).status_code == (200 if role in allowed else 403)


@pytest.mark.parametrize("role", sorted(EVERYBODY))
def test_only_operators_and_admins_act_on_orders(order: Order, role: str) -> None:
    visitor = of_role(role)

    cancelled = visitor.post(f"{ORDERS}cancel/", {"id": order.id, "reason": "asked to"})

    order.refresh_from_db()
    assert order.is_final == (role in OPERATORS)
    assert cancelled.status_code == (200 if role in OPERATORS else 403)


@pytest.mark.parametrize("role", sorted(EVERYBODY))
def test_only_operators_and_admins_end_doubts(order: Order, role: str) -> None:
    """The order is in none; who may not is told nothing of that."""
    page = of_role(role).get(f"{ORDERS}{order.id}/doubt/")

    assert page.status_code == (302 if role in OPERATORS else 403)


@pytest.mark.parametrize("role", sorted(EVERYBODY))
def test_only_admins_issue_and_revoke_keys(account: Account, role: str) -> None:
    visitor = of_role(role)

    issued = visitor.post(f"{KEYS}add/", {"account": account.pk, "label": "bot"})
    assert issued.status_code == (200 if role == ADMIN else 403)
    if role == ADMIN:
        key = ApiKey.objects.get()
        visitor.post(KEYS, {"action": "revoke", "_selected_action": [key.pk], "index": "0"})
        assert ApiKey.objects.exclude(revoked_at=None).exists()


@pytest.mark.parametrize("role", sorted(EVERYBODY))
def test_no_role_deletes_a_user_and_with_them_what_the_log_says_of_them(role: str) -> None:
    visitor = of_role(role)
    somebody = User.objects.create_user("somebody")

    answer = visitor.post(f"/admin/auth/user/{somebody.pk}/delete/", {"post": "yes"})

    assert answer.status_code == 403


def test_prepare_makes_the_groups_say_what_the_table_says() -> None:
    Group.objects.all().delete()
    call_command("prepare", verbosity=0)
    auditor = Group.objects.get(name=AUDITOR)
    auditor.permissions.add(Permission.objects.get(codename="cancel_order"))
    auditor.permissions.remove(Permission.objects.get(codename="view_order"))

    roles.bring_up_to_date()

    for role, permissions in roles.table().items():
        user = User.objects.create_user(role)
        user.groups.add(Group.objects.get(name=role))
        assert user.get_all_permissions() == permissions


def test_whoever_may_do_less_may_do_nothing_more() -> None:
    table = roles.table()

    assert table[AUDITOR] < table[OPERATOR] < table[ADMIN]
    assert [each for each in table[AUDITOR] if ".view_" not in each] == ["orders.export_order"]
