"""The page of a transaction: what the chain says of it, beside what the record says."""

import pytest
from django.test import Client

from orders.exchange import TradingDesk
from orders.inflight import Sent
from orders.models import Order
from orders.pages import transaction
from tests.admin.console import UNSEEN_SIGNATURE, on_real_commits, staff, text_of
from tests.desks import behind
from tests.routing.lab import ChainLab


@pytest.fixture
def on_this_chain(desk: TradingDesk, monkeypatch: pytest.MonkeyPatch) -> TradingDesk:
    """The page asks the chain that the test's orders were executed on."""
    monkeypatch.setattr(transaction, "exchange", lambda: desk)
    return desk


@on_real_commits
def test_a_members_transaction_is_shown_as_recorded_and_as_the_chain_tells_it(
    member: Client, confirmed: Order, on_this_chain: TradingDesk
) -> None:
    (receipt,) = on_this_chain.chain.transactions([confirmed.tx_hash])
    assert receipt

    page = text_of(member.get(f"/transactions/{confirmed.tx_hash}"))

    assert f"It landed in slot {receipt.slot:,}, and swapped." in page
    chain, record = page.split("What our record says")
    for side in (chain, record):
        assert "Amount in 20,000 SOL" in side
    assert f"{confirmed.id}:1" in chain
    assert receipt.signer in chain
    assert "Network fee 0.000005 SOL" in chain


@on_real_commits
def test_nobody_elses_transaction_is_shown(
    stranger: Client, confirmed: Order, on_this_chain: TradingDesk
) -> None:
    response = stranger.get(f"/transactions/{confirmed.tx_hash}")

    assert "There is no such transaction" in text_of(response, status=404)


@pytest.mark.parametrize("signature", ["x", "0" * 87, "5" * 89, UNSEEN_SIGNATURE])
@pytest.mark.django_db
def test_what_is_no_transaction_of_theirs_has_no_page(member: Client, signature: str) -> None:
    assert member.get(f"/transactions/{signature}").status_code == 404


@pytest.mark.django_db
def test_staff_may_ask_for_any_signature(on_this_chain: TradingDesk) -> None:
    page = text_of(staff("auditor", "view_order").get(f"/transactions/{UNSEEN_SIGNATURE}"))

    assert "The chain does not know it, and neither does our record." in page


@on_real_commits
def test_a_transaction_that_never_arrived_says_until_when_it_could(
    member: Client, unsent: Sent, on_this_chain: TradingDesk, lab: ChainLab
) -> None:
    address = f"/transactions/{unsent.signature}"
    limit = f"{unsent.last_valid_block_height:,}"

    assert f"It can land until block height {limit}." in text_of(member.get(address))
    lab.clock.pass_slots(151 + 33)
    assert f"until block height {limit}, which is past for good" in text_of(member.get(address))


@on_real_commits
def test_a_node_without_the_history_says_nothing_of_it(
    member: Client, unsent: Sent, desk: TradingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgetful, node = behind(desk)
    node.first_available_slot = 10**9
    monkeypatch.setattr(transaction, "exchange", lambda: forgetful)

    assert "can’t tell" in text_of(member.get(f"/transactions/{unsent.signature}"))


@on_real_commits
def test_while_the_chain_is_away_the_record_is_still_shown(
    member: Client, confirmed: Order, desk: TradingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, node = behind(desk)
    node.is_down = True
    monkeypatch.setattr(transaction, "exchange", lambda: away)

    page = text_of(member.get(f"/transactions/{confirmed.tx_hash}"), status=503)

    assert "The chain can’t be asked now: the node is down." in page
    assert "Amount in 20,000 SOL" in page


@on_real_commits
def test_a_second_transaction_for_an_attempt_is_called_out(
    lab: ChainLab, confirmed: Order, on_this_chain: TradingDesk
) -> None:
    twin = lab.swap_transaction(on_this_chain.chain, f"{confirmed.id}:1")  # type: ignore[arg-type]
    on_this_chain.chain.send(twin.raw)

    auditor = staff("auditor", "view_order")

    assert "this must never be" in text_of(auditor.get(f"/transactions/{twin.signature}"))
