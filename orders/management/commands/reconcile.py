"""`manage.py reconcile`: after a restore, before execution goes on."""

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError
from rich.console import Console

from orders.checkpoint_log import NoKey
from orders.exchange import trading_desk
from orders.reconciliation import Reconciled, reconcile
from routing.errors import Unavailable


class Command(BaseCommand):
    help = (
        "Teach a database that was restored from a backup what its orders did on chain since. Needs "
        "EXECUTION=halted, here and for every worker. Exits with 0 when execution may go on, with 1 when a human "
        "must look first, with 2 when the chain, the database or the checkpoints could not be read. Safe to repeat."
    )

    def handle(self, **options: Any) -> None:
        if settings.EXECUTION != "halted":
            raise CommandError(
                "Set EXECUTION=halted for this command and for every worker first: "
                "an order whose swap the backup has forgotten would swap again."
            )
        console = Console(stderr=True)
        try:
            with console.status("") as status:
                done = reconcile(trading_desk(), tell=status.update)
        except (OperationalError, Unavailable, NoKey) as error:
            raise CommandError(f"Not finished; run it again. {error}", returncode=2) from error
        self._print(done)
        if not done.ok:
            sys.exit(1)

    def _print(self, done: Reconciled) -> None:
        self.stdout.write(f"{len(done.settled)} orders settled by their own signatures")
        self.stdout.write(f"{len(done.adopted)} transactions adopted from the chain")
        for receipt in done.adopted:
            self.stdout.write(f"  {receipt.memo}  {receipt.error or 'landed'}  {receipt.signature}")
        if done.signed_up_to is not None:
            self.stdout.write(
                f"checkpoints go on from event {done.signed_up_to}: what they say of later ones is forgotten"
            )
        for order_id in done.in_doubt:
            self.stdout.write(self.style.ERROR(f"{order_id} is in doubt still: run this again"))
        for receipt in done.unknown:
            self.stdout.write(
                self.style.ERROR(
                    f"{receipt.memo} landed ({receipt.signature}), of an order that this database never saw"
                )
            )
        for contradiction in done.contradictions:
            self.stdout.write(self.style.ERROR(contradiction))
        if done.ok:
            self.stdout.write("Execution may go on: EXECUTION=on.")
