"""How orders that are submitted together are counted."""

import pytest
from django.conf import LazySettings

from orders import counting
from orders.api.problems import Problem
from orders.api.throttling import check_rate
from orders.models import Account

pytestmark = pytest.mark.django_db


def test_orders_that_do_not_fit_together_are_not_counted(
    account: Account, settings: LazySettings
) -> None:
    settings.ORDER_RATE_LIMIT = (10, 3600)
    check_rate(account.id, orders=7)

    with pytest.raises(Problem) as refusal:
        check_rate(account.id, orders=4)

    assert (refusal.value.status, refusal.value.retryable) == (429, True)
    assert int(refusal.value.headers["Retry-After"]) > 0
    check_rate(account.id, orders=3)
    with pytest.raises(Problem):
        check_rate(account.id)


def test_what_was_counted_ahead_is_used_first_and_kept_when_refused(
    account: Account, settings: LazySettings
) -> None:
    settings.ORDER_RATE_LIMIT = (3000, 3600)
    check_rate(account.id)  # counts two more ahead

    check_rate(account.id, orders=2998)
    with pytest.raises(Problem):
        check_rate(account.id, orders=2)

    check_rate(account.id)


def test_all_processes_share_one_limit(account: Account, settings: LazySettings) -> None:
    settings.ORDER_RATE_LIMIT = (10, 3600)
    check_rate(account.id, orders=6)
    counting.counter.cache_clear()  # what another process has

    with pytest.raises(Problem):
        check_rate(account.id, orders=5)
    check_rate(account.id, orders=4)


def test_more_than_the_limit_never_fits_and_is_told_so(
    account: Account, settings: LazySettings
) -> None:
    settings.ORDER_RATE_LIMIT = (10, 3600)

    with pytest.raises(Problem, match="never fit") as refusal:
        check_rate(account.id, orders=11)

    assert (refusal.value.code, refusal.value.retryable) == ("RATE_LIMITED", False)
    check_rate(account.id, orders=10)


def test_without_redis_nobody_is_throttled(account: Account, settings: LazySettings) -> None:
    settings.ORDER_RATE_LIMIT = (10, 3600)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    counting.counter.cache_clear()

    try:
        for _ in range(3):
            check_rate(account.id, orders=10)
    finally:
        counting.counter.cache_clear()
