"""Submits orders at once over REST and follows each on a WebSocket of its own, coming back after every cut."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from orders.demo.order import DemoError, DemoOrder, StreamEvent, Swap

ANSWER_TIMEOUT_S = 10.0
MAX_SUBMITTING = 64
# A stream says something at least every 15 s: one that is silent for longer is dead.
SILENCE_S = 30.0
CLOSE_TIMEOUT_S = 5.0
BACK_OFF_S = 0.1
LONGEST_BACK_OFF_S = 2.0
# 4400 malformed, 4401 not authenticated, 4404 unknown …: asking again would change nothing.
REFUSALS = range(4400, 4500)

OnEvent = Callable[[DemoOrder, StreamEvent], None]


class Engine:
    """A running engine's REST API. Raises DemoError for an address or a key that can't be one."""

    def __init__(self, *, url: str, api_key: str) -> None:
        self.is_local = _is_local(url)
        self.url = url.rstrip("/")
        if not (api_key.isascii() and api_key.isprintable() and api_key.strip()):
            raise DemoError("The API key is empty, or has characters that no key has.")
        self.authorization = {"Authorization": f"Bearer {api_key.strip()}"}
        # A proxy for the world outside can't reach this computer's own addresses.
        direct = [ProxyHandler({})] if self.is_local else []
        self._opener = build_opener(NoRedirects, *direct)

    def submit(self, swap: Swap) -> tuple[str, str]:
        """The accepted order's id and the address of its stream. Raises DemoError."""
        order = {
            "tokenIn": swap.token_in,
            "tokenOut": swap.token_out,
            "amount": swap.amount,
            "orderType": "market",
        }
        headers = {"Content-Type": "application/json", **self.authorization}
        request = Request(f"{self.url}/api/orders/execute", json.dumps(order).encode(), headers)
        try:
            with self._opener.open(request, timeout=ANSWER_TIMEOUT_S) as answer:
                accepted = json.load(answer)
            return str(accepted["orderId"]), str(accepted["streamUrl"])
        except HTTPError as refusal:
            with refusal:
                raise DemoError(self._explain(refusal)) from None
        except (OSError, HTTPException) as error:
            reason = _reason(error)
            raise DemoError(f"The engine at {self.url} can't be reached: {reason}.") from None
        except (ValueError, KeyError, TypeError):
            raise DemoError(f"What answers at {self.url} is not an order engine.") from None

    def _explain(self, refusal: HTTPError) -> str:
        if location := refusal.headers.get("Location"):
            return f"The address {self.url} leads to {location}: give --url where the engine itself is."
        try:
            detail = str(json.load(refusal)["detail"])
        except (OSError, HTTPException, ValueError, KeyError, TypeError):
            status = HTTPStatus(refusal.code).phrase if refusal.code in set(HTTPStatus) else ""
            answer = f"{refusal.code} {status}".strip()
            return f"What answers at {self.url} is not an order engine: it said {answer}."
        return f"The engine at {self.url} refused an order: {detail}"


class NoRedirects(HTTPRedirectHandler):
    """An API key goes where it was meant to go, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


async def execute(
    orders: Sequence[DemoOrder], *, engine: Engine, timeout_s: float, on_event: OnEvent
) -> None:
    """Returns when all have ended, or after `timeout_s`; the orders say how far they came.

    Raises DemoError when one can't be submitted; those that were accepted are not waited for then.
    """
    submitting = ThreadPoolExecutor(max_workers=min(len(orders), MAX_SUBMITTING))
    try:
        async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as group:
            for order in orders:
                group.create_task(_execute(order, engine, submitting, on_event))
    except TimeoutError:
        return
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    finally:
        submitting.shutdown(wait=False, cancel_futures=True)


async def _execute(
    order: DemoOrder, engine: Engine, submitting: ThreadPoolExecutor, on_event: OnEvent
) -> None:
    def submit() -> tuple[str, str]:
        order.started_at = time.monotonic()
        return engine.submit(order.swap)

    running = asyncio.get_running_loop()
    order.order_id, stream_url = await running.run_in_executor(submitting, submit)
    await _follow(order, stream_url, engine, on_event)


async def _follow(order: DemoOrder, stream_url: str, engine: Engine, on_event: OnEvent) -> None:
    """To the end of the stream, through any number of sockets: each resumes after the last seq."""
    back_off_s = BACK_OFF_S
    while True:
        seq = order.last_seq
        try:
            async with connect(
                f"{stream_url}?after={seq}",
                additional_headers=engine.authorization,
                open_timeout=ANSWER_TIMEOUT_S,
                close_timeout=CLOSE_TIMEOUT_S,
                proxy=None if engine.is_local else True,
            ) as socket:
                await _read(order, socket, on_event)
        except (OSError, TimeoutError, WebSocketException):
            pass  # cut, silent, or not answered: the next socket misses nothing
        if order.has_ended or order.trouble:
            return
        back_off_s = BACK_OFF_S if order.last_seq > seq else min(2 * back_off_s, LONGEST_BACK_OFF_S)
        await asyncio.sleep(back_off_s)
        order.reconnects += 1


async def _read(order: DemoOrder, socket: ClientConnection, on_event: OnEvent) -> None:
    """Until the socket closes. What comes after the end is still read: a complete stream has nothing there."""
    problem = ""
    try:
        while True:
            async with asyncio.timeout(CLOSE_TIMEOUT_S if order.has_ended else SILENCE_S):
                message = json.loads(await socket.recv())
            if message["type"] == "order.event":
                event = StreamEvent.of(message)
                order.hear(event)
                on_event(order, event)
            elif message["type"] == "problem":
                problem = str(message["detail"])
    except ConnectionClosed as closed:
        if closed.rcvd and closed.rcvd.code in REFUSALS:
            order.trouble = f"the engine refused it: {problem or closed.rcvd.reason}"
    except (ValueError, KeyError, TypeError, AttributeError):
        order.trouble = "a message came that is none of the stream's"


def _is_local(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        is_address = parts.scheme in ("http", "https") and host != "" and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise DemoError(f"--url must be an address like http://127.0.0.1:8000, not {url!r}.")
    return host in ("localhost", "::1") or host.startswith("127.")


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no answer for {ANSWER_TIMEOUT_S:g} s"
    text = (cause.strerror if isinstance(cause, OSError) else None) or str(cause)
    return text.rstrip(".") or type(cause).__name__
