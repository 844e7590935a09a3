"""`manage.py up`: run the whole engine here until Ctrl-C or SIGTERM."""

import shlex
import signal
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from config.stack import Stack, StackError
from config.stack.ready import Ready


class Command(BaseCommand):
    help = "Run the whole engine here: servers, web, worker, beat and Flower."
    # This process touches no table and needs no key: `prepare` runs in one of its own.
    requires_system_checks: list[str] = []

    def handle(self, **options: Any) -> None:
        # However it is asked to stop, the stack stops on the way out of the `with` block.
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        stack = Stack(data_dir=settings.DATA_DIR)
        try:
            with stack as ready:
                self.stdout.write(welcome(ready, ready_path=stack.ready_path))
                self.stdout.flush()
                while True:
                    signal.pause()
        except StackError as error:
            self.stderr.write(str(error))
            sys.exit(1)
        except KeyboardInterrupt:
            self.stdout.write("Everything is stopped.")


def welcome(ready: Ready, *, ready_path: Path) -> str:
    """The addresses, and lines to paste into another terminal."""
    python = shlex.quote(str(Path(sys.executable).absolute()))
    bearer = f"-H 'Authorization: Bearer {ready.api_key}'"
    order = '{"tokenIn":"SOL","tokenOut":"USDC","amount":"1.5","orderType":"market"}'
    admin_login = f"{ready.admin_user} / {ready.admin_password or '(your password)'}"
    take_ticket = (
        f"curl -sS -X POST {ready.url}/api/stream-tickets {bearer} | "
        f"""{python} -c 'import json, sys; print(json.load(sys.stdin)["ticket"])'"""
    )
    return f"""
The engine is ready.

  Trade       {ready.url}  ({admin_login})
  Console     {ready.admin_url}  (the same)
  API         {ready.url}/api/docs
  Flower      {ready.flower_url}  ({ready.flower_user} / {ready.flower_password})
  API key     {ready.api_key}
  All of it   {ready_path}

Watch every order of the account:

{python} -m websockets "{ready.ws_url}/ws/orders?ticket=$({take_ticket})"

Submit one, in another terminal:

curl -sS {ready.url}/api/orders/execute {bearer} -H 'Content-Type: application/json' -d '{order}'

Ctrl-C stops everything.
"""
