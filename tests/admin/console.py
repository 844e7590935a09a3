"""Who visits the console, where its pages are, and how a test reads them."""

import re
from html import unescape
from uuid import UUID

import pytest
from django.contrib.auth.models import Permission, User
from django.http import HttpResponse
from django.test import Client

from orders.models import Order

ORDERS = "/admin/orders/order/"
KEYS = "/admin/orders/apikey/"
ACCOUNTS = "/admin/orders/account/"
FOR_EVER = 151 + 33  # slots until a transaction signed now is expired, and that is final
UNSEEN_SIGNATURE = "5" * 87

on_real_commits = pytest.mark.django_db(transaction=True)  # execution gives its connection back


def staff(name: str, *permissions: str) -> Client:
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return logged_in(user)


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def order_page(order: Order | UUID) -> str:
    return f"{ORDERS}{order.id if isinstance(order, Order) else order}/change/"


def transaction_page(signature: str) -> str:
    return f"{ORDERS}transaction/{signature}/"


def text_of(response: HttpResponse, *, status: int = 200) -> str:
    """What a reader sees: no tags, single spaces."""
    assert response.status_code == status, response
    body = re.sub(r"<(script|style).*?</\1>", "", response.content.decode(), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def listed(response: HttpResponse) -> list[UUID]:
    assert response.status_code == 200, response
    return [order.id for order in response.context["cl"].result_list]
