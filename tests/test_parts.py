"""Whether Redis and the workers answer: found out in the background, so that nobody waits for them."""

import threading

import pytest
from celery import Celery
from django.conf import settings

from orders import parts
from orders.parts import Enquiry
from tests.waiting import wait_until

# Nobody listens there.
NOWHERE = "redis://127.0.0.1:1/0"


def test_redis_answers() -> None:
    assert parts.redis_answers()


def test_redis_that_is_away_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "REDIS_URL", NOWHERE)

    assert not parts.redis_answers()


def test_no_worker_answers_where_there_is_none() -> None:
    nobody = Celery(broker=settings.REDIS_URL, set_as_current=False)
    nobody.conf.control_exchange = "nobody-listens-here"

    assert parts.workers(nobody) == ()


def test_nothing_is_known_of_workers_without_redis() -> None:
    app = Celery(broker=NOWHERE, set_as_current=False)
    app.conf.broker_transport_options = settings.CELERY_BROKER_TRANSPORT_OPTIONS

    assert parts.workers(app) is None


def test_whoever_asks_first_may_wait_and_the_next_has_the_answer_at_once() -> None:
    may_answer = threading.Event()
    enquiry = Enquiry(lambda: may_answer.wait(10), every_s=60.0)

    assert enquiry.last() is None
    assert enquiry.last(wait_s=0.01) is None
    may_answer.set()
    wait_until(enquiry.last, what="the answer")

    heard = enquiry.last()
    assert heard is not None
    assert heard.answer is True


def test_a_question_is_asked_again_only_when_its_answer_is_old() -> None:
    asked: list[int] = []

    def ask() -> int:
        asked.append(1)
        return len(asked)

    seldom, often = Enquiry(ask, every_s=60.0), Enquiry(ask, every_s=0.0)
    for _ in range(3):
        seldom.last(wait_s=5.0)
    assert asked == [1]

    wait_until(lambda: (heard := often.last(wait_s=5.0)) and heard.answer >= 3, what="more answers")
