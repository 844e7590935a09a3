"""Counters in Redis, each under a key of its own that says whose it is and in which window of time.

A process counts up to a thousandth of the limit ahead, so that not every request asks Redis; what it doesn't use of
that is lost. Redis holds only what may be lost: while it is away nothing is refused, and nobody waits.
"""

import threading
import time
from functools import cache

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

TIMEOUT_S = 0.04
PAUSE_AFTER_FAILURE_S = 1.0
MOST_KEYS = 10_000

# Takes up to ARGV[2] of what the limit leaves, but nothing if that is less than ARGV[1]; answers what it took.
TAKE = """
local left = tonumber(ARGV[3]) - tonumber(redis.call('GET', KEYS[1]) or 0)
if left < tonumber(ARGV[1]) then return 0 end
local taken = math.min(left, tonumber(ARGV[2]))
redis.call('INCRBY', KEYS[1], taken)
redis.call('EXPIRE', KEYS[1], ARGV[4])
return taken
"""


class Counter:
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

    def allows(self, key: str, limit: int, *, ttl_s: int, count: int) -> bool:
        """Count so many more under this key, unless that is beyond the limit."""
        with self._lock:
            used = min(count, self._ahead.get(key, 0))
            if used:
                self._ahead[key] -= used
        missing = count - used
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
def counter() -> Counter:
    return Counter(settings.REDIS_URL)
