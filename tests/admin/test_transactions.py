"""What the console shows of the chain."""

import pytest
from django.test import Client

from orders.admin import transactions
from orders.exchange import TradingDesk
from orders.inflight import Sent
from orders.models import Order
from tests.admin.console import (
    UNSEEN_SIGNATURE,
    on_real_commits,
    order_page,
    text_of,
    transaction_page,
)
from tests.desks import behind
from tests.routing.lab import ChainLab


@on_real_commits
def test_a_transaction_is_shown_as_recorded_and_as_the_chain_tells_it(
    root: Client, confirmed: Order, on_this_chain: TradingDesk
) -> None:
    (receipt,) = on_this_chain.chain.transactions([confirmed.tx_hash])
    assert receipt

    response = root.get(transaction_page(confirmed.tx_hash))

    record, chain = text_of(response).split("On chain", 1)
    for side in (record, chain):
        assert f"{confirmed.id}:1" in side
        assert "Amount in 1.5 SOL" in side
    assert f"Slot {receipt.slot}" in chain
    assert receipt.signer in chain
    assert receipt.pool in chain
    assert "Fee 0.000005 SOL" in chain
    assert f'href="{order_page(confirmed)}#attempts-0"' in response.content.decode()
    assert "another one" not in record


@on_real_commits
def test_an_order_page_leads_to_its_transactions(root: Client, confirmed: Order) -> None:
    body = root.get(order_page(confirmed)).content.decode()

    # From the order, and from its attempt.
    assert body.count(f'href="{transaction_page(confirmed.tx_hash)}"') >= 2
    assert 'id="attempts-0"' in body


@on_real_commits
def test_a_transaction_that_never_arrived_is_not_known_to_the_chain(
    root: Client, unsent: Sent, on_this_chain: TradingDesk
) -> None:
    page = text_of(root.get(transaction_page(unsent.signature)))

    assert "Not known to the chain." in page
    assert f"Attempt {unsent.order_id}:1" in page
    assert f"Last valid block height {unsent.last_valid_block_height}" in page


@pytest.mark.django_db
def test_a_signature_that_nobody_knows_is_said_to_be_unknown(
    root: Client, on_this_chain: TradingDesk
) -> None:
    page = text_of(root.get(transaction_page(UNSEEN_SIGNATURE)))

    assert "No attempt on record has this signature." in page
    assert "Not known to the chain." in page


@on_real_commits
def test_a_second_transaction_for_an_attempt_is_called_out(
    root: Client, lab: ChainLab, confirmed: Order, on_this_chain: TradingDesk
) -> None:
    """What must never happen is what an auditor looks for."""
    twin = lab.swap_transaction(on_this_chain.chain, f"{confirmed.id}:1")  # type: ignore[arg-type]
    on_this_chain.chain.send(twin.raw)

    page = text_of(root.get(transaction_page(twin.signature)))

    assert "The memo names an attempt whose recorded transaction is another one." in page
    assert "No attempt on record has this signature." in page


@pytest.mark.django_db
def test_a_memo_that_is_not_ours_is_shown_with_base_units(
    root: Client, lab: ChainLab, on_this_chain: TradingDesk
) -> None:
    foreign = lab.swap_transaction(on_this_chain.chain, "gm")  # type: ignore[arg-type]
    on_this_chain.chain.send(foreign.raw)

    page = text_of(root.get(transaction_page(foreign.signature)))

    assert "Memo gm" in page
    assert "Amount in 1000000000 base units" in page


@on_real_commits
def test_while_the_chain_is_away_the_record_is_still_shown(
    root: Client, confirmed: Order, desk: TradingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, node = behind(desk)
    node.is_down = True
    monkeypatch.setattr(transactions, "exchange", lambda: desk)

    response = root.get(transaction_page(confirmed.tx_hash))

    page = text_of(response, status=503)
    assert "The chain can't be asked now: the node is down." in page
    assert f"Attempt {confirmed.id}:1" in page


@pytest.mark.parametrize("signature", ["x", "0" * 87, "5" * 89])
@pytest.mark.django_db
def test_what_can_not_be_a_signature_has_no_page(root: Client, signature: str) -> None:
    assert root.get(transaction_page(signature)).status_code == 404
