"""Whether the parts around PostgreSQL answer: Redis, and the workers behind it. Nobody waits long for either."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import redis
from celery import Celery, current_app
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from orders.tasks import BROKER_AWAY

T = TypeVar("T")

REDIS_WITHIN_S: Final = 0.3
WORKERS_WITHIN_S: Final = 0.4


def redis_answers() -> bool:
    """Within two REDIS_WITHIN_S at the latest: one to connect, one to answer."""
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL,
            socket_timeout=REDIS_WITHIN_S,
            socket_connect_timeout=REDIS_WITHIN_S,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            client.ping()
    except redis.RedisError:
        return False
    return True


def workers(app: Celery = current_app) -> tuple[str, ...] | None:
    """The names of those that answer over Redis within WORKERS_WITHIN_S; None if it carries no question."""
    try:
        answers = app.control.ping(timeout=WORKERS_WITHIN_S)
    except BROKER_AWAY:
        return None
    return tuple(sorted(name for answer in answers or () for name in answer))


@dataclass(frozen=True, slots=True)
class Heard(Generic[T]):
    """An answer, and how long ago it came."""

    answer: T
    seconds_ago: float


class Enquiry(Generic[T]):
    """A question that is asked in the background, every `every_s` while people look, so that none of them waits."""

    def __init__(self, ask: Callable[[], T], *, every_s: float) -> None:
        self._ask = ask
        self._every_s = every_s
        self._lock = threading.Lock()
        self._begun_at = float("-inf")
        self._heard: tuple[T, float] | None = None
        self._is_heard = threading.Event()

    def last(self, *, wait_s: float = 0.0) -> Heard[T] | None:
        """The last answer; whoever comes before the first waits for it up to `wait_s`. None if there is none yet."""
        with self._lock:
            now = time.monotonic()
            if now - self._begun_at >= self._every_s:
                self._begun_at = now
                threading.Thread(target=self._find_out, name="enquiry", daemon=True).start()
        self._is_heard.wait(wait_s)
        heard = self._heard
        return Heard(heard[0], time.monotonic() - heard[1]) if heard else None

    def _find_out(self) -> None:
        self._heard = (self._ask(), time.monotonic())
        self._is_heard.set()
