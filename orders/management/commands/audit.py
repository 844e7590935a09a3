"""`manage.py audit`: do the promises hold, on this database and this chain?"""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError
from psycopg_pool import PoolTimeout
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from orders.audit.checks import CHECKS
from orders.audit.run import Report, audit
from orders.exchange import trading_desk
from routing.errors import Unavailable

SHOWN = 20
NOT_CHECKED = 2


class Command(BaseCommand):
    help = (
        "Check the promises: every order's log, its hashes, the proofs of its attempts, and what landed on chain. "
        "The engine may go on meanwhile. Exits with 0 if all is well, 1 if not, 2 if it can't be told."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--json", action="store_true", help="one JSON object, with every offender"
        )

    def handle(self, **options: Any) -> None:
        try:
            report = self._audit()
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            raise CommandError(
                f"The orders' database can't be read: {error}", returncode=NOT_CHECKED
            ) from error
        except Unavailable as error:
            raise CommandError(
                f"The chain can't be read: {error}.", returncode=NOT_CHECKED
            ) from error
        if options["json"]:
            self.stdout.write(json.dumps(report.as_json(), indent=2))
        else:
            self._print(report)
        if not report.ok:
            sys.exit(1)

    def _audit(self) -> Report:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        console = Console(stderr=True)
        with Progress(
            *columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal
        ) as progress:
            task = progress.add_task("landed transactions", total=None)
            return audit(
                trading_desk(),
                lambda what, done, of: progress.update(
                    task, description=what, completed=done, total=of or None
                ),
            )

    def _print(self, report: Report) -> None:
        self.stdout.write(
            f"{report.orders:,} orders, {report.events:,} events, {report.landed:,} landed transactions, "
            f"{report.covered:,} heads in checkpoints\n"
        )
        for name, what in CHECKS.items():
            offenders = report.offenders.get(name, [])
            verdict = self.style.ERROR(f"{len(offenders):>6}") if offenders else "    ok"
            self.stdout.write(f"{verdict}  {what}")
            for offender in offenders[:SHOWN]:
                self.stdout.write(f"          {offender.order_id or 'no order'}: {offender.detail}")
            if len(offenders) > SHOWN:
                self.stdout.write(f"          and {len(offenders) - SHOWN} more: see --json")
        for note in report.notes:
            self.stdout.write(self.style.WARNING(note))
        if report.newest.n:
            self.stdout.write(f"Newest checkpoint: {report.newest.n} {report.newest.digest}")
        if report.unchecked:
            self.stdout.write(
                f"{report.unchecked:,} confirmed orders were not compared with the chain: "
                "they are older than its history, or no node could tell."
            )
