"""`manage.py demo`: run orders through an engine and watch each of them."""

import argparse
import asyncio
import os
import sys
from contextlib import nullcontext
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console

from orders.demo.client import Engine, execute
from orders.demo.order import DemoError, demo_orders
from orders.demo.own_engine import own_engine
from orders.demo.screen import Screen, screen_of
from orders.demo.table import summary

KEY_VARIABLE = "ORDER_ENGINE_API_KEY"
INTERRUPTED = 130


class Command(BaseCommand):
    help = (
        "Submit orders at once over REST and follow each on its WebSocket, with an engine that is "
        "started for it, has servers of its own and leaves nothing behind; or with the one at --url. "
        "Exits with 0 if every order ended and every stream was complete."
    )
    # This process touches no table and needs no key.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--orders", type=_count, default=10, metavar="N", help="how many (10)")
        parser.add_argument("--url", help="of a running engine, like http://127.0.0.1:8000")
        parser.add_argument(
            "--api-key", help=f"for --url; {KEY_VARIABLE} in the environment keeps it out of `ps`"
        )
        parser.add_argument(
            "--timeout", type=_seconds, default=60.0, metavar="SECONDS", help="for all orders (60)"
        )

    def handle(
        self,
        *,
        orders: int,
        url: str | None,
        api_key: str | None,
        timeout: float,
        no_color: bool,
        **options: Any,
    ) -> None:
        screen = screen_of(Console(no_color=no_color or None, highlight=False))
        try:
            engine = nullcontext(_named_engine(url, api_key)) if url else own_engine(screen)
            with engine as running:
                run(running, screen, count=orders, timeout_s=timeout)
        except DemoError as error:
            self.stderr.write(str(error))
            sys.exit(1)
        except KeyboardInterrupt:
            self.stderr.write("Interrupted.")
            sys.exit(INTERRUPTED)


def run(engine: Engine, screen: Screen, *, count: int, timeout_s: float) -> None:
    """Raises DemoError unless every order ended and every stream was complete."""
    orders = demo_orders(count)
    screen.say(f"Submitting {count} orders at once to {engine.url}\n")
    with screen.following(orders) as on_event:
        asyncio.run(execute(orders, engine=engine, timeout_s=timeout_s, on_event=on_event))
    screen.say("")
    screen.say(summary(orders, timeout_s=timeout_s))
    unfinished = sum(not order.has_ended for order in orders)
    if unfinished:
        raise DemoError(f"{unfinished} of {count} orders did not end within {timeout_s:g} s.")
    flawed = sum(bool(order.flaw) for order in orders)
    if flawed:
        raise DemoError(f"{flawed} of {count} streams were not complete.")


def _named_engine(url: str, api_key: str | None) -> Engine:
    key = api_key or os.environ.get(KEY_VARIABLE)
    if not key:
        raise DemoError(f"--url needs an API key: give --api-key, or set {KEY_VARIABLE}.")
    return Engine(url=url, api_key=key)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of orders")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds
