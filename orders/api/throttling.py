"""How many orders and quotes an account may ask for together: a counter per account and time window in Redis. And how
often somebody may try to sign in.

Orders that are submitted together fit together or not at all, and what is refused is not counted. A process counts up
to a thousandth of the limit ahead, so that not every order asks Redis; what it doesn't use of that is lost to the
account. Redis holds only what may be lost: while it is away nobody is throttled, and nobody waits.
"""

import threading
import time
from functools import cache
from hashlib import sha256

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
TRIES_PER_MINUTE = 10


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
    if not _counter().allows(key, limit, ttl_s=window_s, orders=orders):
        wait_s = int(window_s - now % window_s) + 1
        raise Problem(
            429,
            "RATE_LIMITED",
            f"{allowance}; try again in {wait_s} s.",
            retryable=True,
            headers={"Retry-After": str(wait_s)},
        )


def may_try_to_sign_in(name: str) -> bool:
    """Count one try under this name, whoever makes it; False beyond TRIES_PER_MINUTE."""
    digest = sha256(name.encode()).hexdigest()
    key = f"sign-in:{digest}:{int(time.time() // 60)}"
    return _counter().allows(key, TRIES_PER_MINUTE, ttl_s=60, orders=1)


# Takes up to ARGV[2] of what the limit leaves, but nothing if that is less than ARGV[1]; answers what it took.
TAKE = """
local left = tonumber(ARGV[3]) - tonumber(redis.call('GET', KEYS[1]) or 0)
if left < tonumber(ARGV[1]) then return 0 end
local taken = math.min(left, tonumber(ARGV[2]))
redis.call('INCRBY', KEYS[1], taken)
redis.call('EXPIRE', KEYS[1], ARGV[4])
return taken
"""


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

    def allows(self, key: str, limit: int, *, ttl_s: int, orders: int) -> bool:
        """Count so many more under this key, unless that is beyond the limit."""
        with self._lock:
            used = min(orders, self._ahead.get(key, 0))
            if used:
                self._ahead[key] -= used
        missing = orders - used
        if not missing:
            return True
        taken = self._take(
            key, missing, at_most=max(missing, limit // 1000), limit=limit, ttl_s=ttl_s
        )
        left = taken - missing if taken else used
        with self._lock:
            if len(self._ahead) >= MOST_KEYS:
                self._ahead.clear()
            self._ahead[key] = self._ahead.get(key, 0) + left
        return taken > 0

    def _take(self, key: str, wanted: int, *, at_most: int, limit: int, ttl_s: int) -> int:
        """What was counted in Redis: `wanted` or more, or nothing. While Redis is away, it is all there."""
        if time.monotonic() < self._paused_until:
            return at_most
        try:
            return int(self._redis.eval(TAKE, 1, key, wanted, at_most, limit, ttl_s))
        except redis.RedisError:
            self._paused_until = time.monotonic() + PAUSE_AFTER_FAILURE_S
            return at_most


@cache
def _counter() -> _Counter:
    return _Counter(settings.REDIS_URL)
