"""`manage.py prepare`: databases, tables, roles and the simulated chain, whatever of it is missing.

Safe to repeat, and to run in several places at once. With `--demo` it also makes an account to try
the engine with: its API key and the admin's password are kept under `DATA_DIR`, readable by their
owner only, because the database keeps nothing but their hashes.
"""

import secrets
from typing import Any

import psycopg
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from config.stack.kept import ADMIN_USER, keep_secret, secret_path, write_private
from config.stack.reach import Unreachable, create_database, reach_postgres
from orders import accounts, roles
from orders.models import Account, Member
from routing import simulated_schema

DEMO_ACCOUNT = "demo"
# An advisory lock's number: any does, if nobody else uses it in the orders' database.
PREPARE_LOCK = 7_330_000


class Command(BaseCommand):
    help = "Create the databases, tables and the simulated chain that are missing. Safe to repeat."
    # The checks look at a database that may not exist yet; `migrate` runs them once it does.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--demo", action="store_true", help="also make an account with a key, and an admin"
        )
        parser.add_argument(
            "--wait", type=float, default=30.0, metavar="SECONDS", help="for PostgreSQL (30)"
        )

    def handle(self, *, demo: bool, wait: float, **options: Any) -> None:
        if not settings.DATABASE_URL:
            raise CommandError("DATABASE_URL is not set: name a database, or run `make up`.")
        databases = {
            "DATABASE_URL": settings.DATABASE_URL,
            "CHAIN_DATABASE_URL": settings.CHAIN_DATABASE_URL,
        }
        try:
            for variable, url in databases.items():
                reach_postgres(url=url, variable=variable, patience_s=wait)
                if create_database(url=url):
                    self.stdout.write(f"The database of {variable} is created.")
        except (Unreachable, psycopg.Error) as error:
            raise CommandError(str(error).strip().splitlines()[0]) from None
        with psycopg.connect(settings.DATABASE_URL, autocommit=True) as guard:
            guard.execute("SELECT pg_advisory_lock(%s)", [PREPARE_LOCK])
            self._migrate()
            roles.bring_up_to_date()
            simulated_schema.install(settings.CHAIN_DATABASE_URL)
            self.stdout.write("The simulated chain is installed.")
            if demo:
                self._make_demo_account()
                self._make_admin()
                self._let_the_admin_trade()

    def _migrate(self) -> None:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if missing:
            self.stdout.write(f"Applying {len(missing)} migrations.")
        call_command("migrate", interactive=False, verbosity=0)
        self.stdout.write("The orders' tables are up to date.")

    def _make_demo_account(self) -> None:
        path = secret_path(data_dir=settings.DATA_DIR, name="demo-api-key")
        if path.exists() and accounts.account_of_key(path.read_text().strip()):
            self.stdout.write("The demo account's API key is the one kept from earlier.")
            return
        account = Account.objects.filter(name=DEMO_ACCOUNT).first()
        account = account or accounts.create_account(DEMO_ACCOUNT)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        key, _ = accounts.issue_key(account=account, label="made by manage.py prepare")
        write_private(path=path, text=key + "\n")
        self.stdout.write("The demo account has a new API key.")

    def _make_admin(self) -> None:
        path = secret_path(data_dir=settings.DATA_DIR, name="admin-password")
        users = get_user_model().objects
        admin = users.filter(username=ADMIN_USER).first()
        if admin is None:
            password = keep_secret(path=path, make=lambda: secrets.token_urlsafe(16))
            users.create_superuser(username=ADMIN_USER, password=password)
            self.stdout.write(f"The user {ADMIN_USER} has a new password.")
        elif not (path.exists() and admin.check_password(path.read_text().strip())):
            # Somebody chose a password, or the folder is new and the database is not: it may be
            # in use, so it is never replaced here, and what is kept is known to be wrong.
            path.unlink(missing_ok=True)
            self.stdout.write(
                f"The user {ADMIN_USER} keeps its password (`manage.py changepassword "
                f"{ADMIN_USER}` sets another)."
            )

    def _let_the_admin_trade(self) -> None:
        """For the demo account, unless somebody decided otherwise."""
        admin = get_user_model().objects.filter(username=ADMIN_USER).first()
        demo = Account.objects.filter(name=DEMO_ACCOUNT).first()
        if admin is not None and demo is not None:
            Member.objects.get_or_create(user=admin, defaults={"account": demo})
