"""`manage.py apikey`: issue, list and revoke the API keys of an account."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from orders import accounts
from orders.models import ApiKey


class Command(BaseCommand):
    help = "Issue an API key for an account (made if it is new), list keys, or revoke one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        issue = actions.add_parser("issue", help="Issue a key; it is shown this once.")
        issue.add_argument("account", help="The account's name.")
        issue.add_argument("--label", default="made by manage.py apikey", help="Where it is used.")
        actions.add_parser("list", help="List all keys by their first characters.")
        revoke = actions.add_parser("revoke", help="Revoke a key for ever.")
        revoke.add_argument("prefix", help="The key's first characters, as `list` shows them.")

    def handle(self, *, action: str, **options: Any) -> None:
        match action:
            case "issue":
                self._issue(options["account"], options["label"])
            case "list":
                self._list()
            case "revoke":
                self._revoke(options["prefix"])

    def _issue(self, account: str, label: str) -> None:
        if not 0 < len(account) <= 100 or len(label) > 100:
            raise CommandError("An account's name and a label have 1 to 100 characters.")
        clear, _ = accounts.issue_key(account=accounts.create_account(account), label=label)
        self.stdout.write(clear)
        self.stderr.write("Keep it: only its SHA-256 is stored, so it can't be shown again.")

    def _list(self) -> None:
        for key in ApiKey.objects.select_related("account").order_by("account__name", "id"):
            state = f"revoked {key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else "active"
            self.stdout.write(f"{key.prefix}…  {key.account.name}  {key.label}  {state}")

    def _revoke(self, prefix: str) -> None:
        keys = list(ApiKey.objects.filter(prefix=prefix.rstrip("…")))
        if len(keys) != 1:
            found = "No key has" if not keys else f"{len(keys)} keys have"
            raise CommandError(f"{found} the prefix {prefix}.")
        accounts.revoke_key(keys[0])
        self.stdout.write(f"Revoked {keys[0]}.")
