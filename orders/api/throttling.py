"""How many orders an account may submit: a counter per account and time window in Redis.

A process counts up to a thousandth of the limit ahead, so that not every order asks Redis; what it doesn't use of that
is lost to the account. Redis holds only what may be lost: while it is away nobody is throttled, and nobody waits.
"""

import threading
import time
from functools import cache

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from orders.api.authentication import account_of
from orders.api.problems import Problem

TIMEOUT_S = 0.04
PAUSE_AFTER_FAILURE_S = 1.0
MOST_KEYS = 10_000


class OrderThrottle(BaseThrottle):
    def allow_request(self, request: Request, view: APIView) -> bool:
        check_rate(account_of(request).id)
        return True


def check_rate(account_id: int) -> None:
    """Count one order. Raises Problem (429, `Retry-After`) beyond ORDER_RATE_LIMIT."""
    limit, window_s = settings.ORDER_RATE_LIMIT
    now = time.time()
    if not _counter().allows(f"rate:{account_id}:{int(now // window_s)}", limit, ttl_s=window_s):
        wait_s = int(window_s - now % window_s) + 1
        raise Problem(
            429,
            "RATE_LIMITED",
            f"This account may submit {limit} orders per {window_s} s; try again in {wait_s} s.",
            retryable=True,
            headers={"Retry-After": str(wait_s)},
        )


class _Counter:
    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(
            url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            # No greetings: each would wait for an answer, and a Redis that is stuck gives none.
            protocol=2,
            driver_info=None,
        )
        self._paused_until = 0.0
        self._lock = threading.Lock()
        self._ahead: dict[str, int] = {}  # what was counted in Redis and not used yet

    def allows(self, key: str, limit: int, *, ttl_s: int) -> bool:
        """Count one more under this key, unless that is beyond the limit."""
        with self._lock:
            if self._ahead.get(key, 0) > 0:
                self._ahead[key] -= 1
                return True
        at_once = max(1, limit // 1000)
        counted = self._count(key, at_once, ttl_s=ttl_s)
        allowed = at_once - max(0, counted - limit)
        with self._lock:
            if len(self._ahead) >= MOST_KEYS:
                self._ahead.clear()
            self._ahead[key] = self._ahead.get(key, 0) + max(0, allowed - 1)
        return allowed > 0

    def _count(self, key: str, by: int, *, ttl_s: int) -> int:
        """What was counted under this key, this included; 0 while Redis is away."""
        if time.monotonic() < self._paused_until:
            return 0
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.incrby(key, by)
                pipeline.expire(key, ttl_s)
                count, _ = pipeline.execute()
            return int(count)
        except redis.RedisError:
            self._paused_until = time.monotonic() + PAUSE_AFTER_FAILURE_S
            return 0


@cache
def _counter() -> _Counter:
    return _Counter(settings.REDIS_URL)
