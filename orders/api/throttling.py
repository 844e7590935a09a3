"""How many orders and quotes an account may ask for together, in a window of time.

Orders that are submitted together fit together or not at all, and what is refused is not counted.
"""

import time

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from orders import counting
from orders.api.authentication import account_of
from orders.api.problems import Problem


class OrderThrottle(BaseThrottle):
    def allow_request(self, request: Request, view: APIView) -> bool:
        check_rate(account_of(request).id)
        return True


def check_rate(account_id: int, *, orders: int = 1) -> None:
    """Count so many orders, all or none; a quote counts as one.

    Raises Problem (429, `Retry-After`) beyond ORDER_RATE_LIMIT.
    """
    limit, window_s = settings.ORDER_RATE_LIMIT
    allowance = f"This account may ask for {limit} orders and quotes per {window_s} s"
    if orders > limit:
        raise Problem(429, "RATE_LIMITED", f"{allowance}, so {orders} together never fit.")
    now = time.time()
    key = f"rate:{account_id}:{int(now // window_s)}"
    if not counting.counter().allows(key, limit, ttl_s=window_s, count=orders):
        wait_s = int(window_s - now % window_s) + 1
        raise Problem(
            429,
            "RATE_LIMITED",
            f"{allowance}; try again in {wait_s} s.",
            retryable=True,
            headers={"Retry-After": str(wait_s)},
        )
