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


# --- who looks after people -------------------------------------------------------------------------------------------


def user_form(user: User, **changes: object) -> dict[str, object]:
    """As the user's page sends it."""
    groups = [group.pk for group in user.groups.all()]
    form = {"username": user.username, "is_active": "on", "is_staff": "on", "groups": groups}
    return {**form, "date_joined_0": "2026-11-21", "date_joined_1": "07:41:00", **changes}


@pytest.mark.parametrize(
    "more",
    [
        {"is_superuser": "on"},
        {"user_permissions": lambda: [Permission.objects.get(codename="delete_user").pk]},
    ],
)
def test_an_admin_gives_nobody_more_than_a_role(more: dict[str, object]) -> None:
    visitor = of_role(ADMIN)
    user = User.objects.get(username="admin's")
    before = user.get_all_permissions()
    asked = {name: each() if callable(each) else each for name, each in more.items()}

    answer = visitor.post(
        f"/admin/auth/user/{user.pk}/change/", user_form(user, username="boss", **asked)
    )

    user = User.objects.get(pk=user.pk)
    assert answer.status_code == 302
    assert not user.is_superuser
    assert user.get_all_permissions() == before


def test_an_admin_makes_somebody_an_operator() -> None:
    visitor = of_role(ADMIN)
    somebody = User.objects.create_user("somebody")
    operator = Group.objects.get(name=OPERATOR)
    form = user_form(somebody, groups=[operator.pk])

    visitor.post(f"/admin/auth/user/{somebody.pk}/change/", form)

    somebody.refresh_from_db()
    assert somebody.is_staff
    assert list(somebody.groups.all()) == [operator]


def test_an_admin_neither_changes_a_superuser_nor_signs_in_as_one() -> None:
    visitor = of_role(ADMIN)
    root = User.objects.create_superuser("root", password="correct horse")
    page = f"/admin/auth/user/{root.pk}/change/"
    password = {
        "password1": "another horse",
        "password2": "another horse",
        "usable_password": "true",
    }

    answers = [
        visitor.post(page, user_form(root, is_active="")),
        visitor.post(f"/admin/auth/user/{root.pk}/password/", password),
    ]

    root.refresh_from_db()
    assert [answer.status_code for answer in answers] == [403, 403]
    assert root.is_active
    assert root.check_password("correct horse")
    assert visitor.get(page).status_code == 200


def test_a_superuser_makes_another_one() -> None:
    somebody = User.objects.create_user("somebody")
    visitor = logged_in(User.objects.create_superuser("root"))

    visitor.post(f"/admin/auth/user/{somebody.pk}/change/", user_form(somebody, is_superuser="on"))

    somebody.refresh_from_db()
    assert somebody.is_superuser
