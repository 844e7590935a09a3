"""`manage.py lifecycle`: the diagram of an order's life, printed from the table that the database enforces."""

from typing import Any

from django.core.management.base import BaseCommand

from orders import lifecycle


class Command(BaseCommand):
    help = "Print the order lifecycle as a Mermaid diagram."
    requires_system_checks: list[str] = []

    def handle(self, **options: Any) -> None:
        self.stdout.write(lifecycle.diagram())
