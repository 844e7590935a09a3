"""Every status has a sentence, and every code its words."""

import re
from pathlib import Path

import pytest
from django.conf import settings

from orders.journal import AttemptChange
from orders.lifecycle import AttemptState, Status
from orders.models import Account
from orders.story.reasons import REASONS, reason_for
from tests.factories import (
    move,
    order_at,
)
from tests.story.telling import told

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("status", list(Status))
def test_every_status_has_a_sentence(account: Account, status: Status) -> None:
    sentence = told(order_at(status, account)).sentence

    assert sentence.endswith(".")
    assert not re.search(r"None|undefined|\{|\}|  ", sentence)


@pytest.mark.parametrize("code", REASONS)
@pytest.mark.parametrize("retryable", [True, False])
def test_every_code_ends_a_sentence_that_says_what_can_be_done(
    account: Account, code: str, retryable: bool
) -> None:
    order = order_at(Status.BUILDING, account)
    move(
        order, Status.FAILED, error_code=code, error_message="Why.", error_retryable=retryable,
        attempt=AttemptChange(state=AttemptState.FAILED, error_code=code, error_message="Why."),
    )  # fmt: skip

    sentence = told(order).sentence

    assert f": {REASONS[code].words}. Nothing was swapped. " in sentence
    assert sentence.endswith(".")
    assert ("The same order would fail again." in sentence) is not retryable


def test_every_code_that_the_engine_raises_has_words() -> None:
    raised = re.compile(
        r"""(?:Unavailable|Rejected|FateUnknown|Effect|_ended)\(\s*"([A-Z_]+)"|error_code="([A-Z_]+)\""""
    )
    sources = [
        path
        for package in ("routing", "orders")
        for path in (Path(settings.BASE_DIR) / package).rglob("*.py")
    ]
    codes = {
        next(filter(None, found.groups()))
        for path in sources
        for found in raised.finditer(path.read_text())
    }

    assert len(codes) > 20
    assert codes - set(REASONS) == set()


def test_a_code_that_nobody_wrote_words_for_has_its_own_sentence() -> None:
    assert reason_for("NEW", "The moon is full.").words == "the moon is full"
    assert reason_for("NEW", "").words == "it ended with NEW"
