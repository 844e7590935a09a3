"""An export, from the list of orders to the file: its page follows the worker."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from django.contrib.auth.models import User
from playwright.sync_api import Page

from orders.models import Account
from tests.engine import Worker
from tests.factories import place


def test_the_page_follows_an_export_and_then_offers_the_file(
    account: Account, visit: Callable[..., Page], worker: Worker, tmp_path: Path
) -> None:
    order = place(account)
    page = visit(user=User.objects.create_superuser(f"root-{uuid4()}"))

    page.goto(f"/admin/orders/order/?account={account.pk}")
    page.get_by_role("link", name="Export…").click()
    page.get_by_text(f"account: {account.name}").wait_for()
    page.get_by_label("JSON lines").check()
    page.get_by_role("button", name="Export").click()
    page.get_by_role("status").get_by_text("Done: 1 order written.").wait_for()

    assert page.get_by_role("button", name="Cancel the export").count() == 0
    assert page.get_by_role("row", name="Kept until").get_by_text("UTC").count() == 1
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download", exact=True).click()
    downloading.value.save_as(tmp_path / "file")
    assert str(order.id) in (tmp_path / "file").read_text()
    assert downloading.value.suggested_filename.endswith("Z.jsonl")
