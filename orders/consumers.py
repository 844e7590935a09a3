"""The sockets: one order, all of an account's orders, or submit-and-follow.

Each is admitted once, then left to the hub.

A refusal accepts first and closes then, so that a browser sees the code.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from channels.consumer import get_handler_name
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.http import parse_cookie
from django.utils.dateparse import parse_datetime
from rest_framework.exceptions import APIException

from orders import accounts, observe, passes, people, stream_log
from orders.api.problems import Problem, as_problem
from orders.api.submission import submit
from orders.api.throttling import check_rate
from orders.hub import hub
from orders.models import Account, Order
from orders.order_json import order_as_json
from orders.passes import Pass
from orders.stream import as_text
from orders.stream_log import oldest_recent_id, promptly
from orders.subscription import Subscription

MALFORMED = 4400
# Between two pages of a snapshot: how much may be unread before the next, and how long that may take.
READ_ENOUGH_BYTES = 64 * 1024
PATIENCE_S = 10.0
CLOSE_CODES = {401: 4401, 404: 4404, 429: 4429, 500: 1011, 503: 1013}


class Refusal(Exception):
    """The socket closes with `code`, after a problem that says why."""

    def __init__(self, code: int, problem: dict[str, Any]) -> None:
        super().__init__(problem["detail"])
        self.code = code
        self.problem = problem

    @classmethod
    def of(cls, problem: Problem) -> "Refusal":
        return cls(CLOSE_CODES.get(problem.status, MALFORMED), problem.as_json())


class StreamConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """What the sockets share: admission, refusal, and leaving the hub at the end."""

    # No layer of its own: a consumer with one subscribes before it connects, and dies with Redis.
    channel_layer_alias = None
    subscription: Subscription | None = None
    opened_by: Pass
    is_refused = False

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Without a layer there is one thing to wait for. Whatever asks the database gives its connection back."""
        self.scope, self.base_send, self.channel_layer = scope, send, None
        with suppress(StopConsumer):
            while True:
                message = await receive()
                await getattr(self, get_handler_name(message))(message)

    async def connect(self) -> None:
        await self.accept()
        await self._or_refuse(self.open())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if not self.is_refused:  # what comes behind a refusal was sent before it was read
            await self._or_refuse(self.hear(text_data))

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        """The same without a layer: nothing was opened that would have to be closed."""
        await self.disconnect(message.get("code", 1005))
        raise StopConsumer

    async def disconnect(self, code: int) -> None:
        if self.subscription is not None:
            hub().leave(self.subscription)

    async def open(self) -> None:
        raise NotImplementedError

    async def hear(self, text: str | None) -> None:
        """A client has nothing to say on a stream; text is ignored, as pings of some clients are, bytes are not."""
        if text is None:
            raise Refusal.of(Problem(400, "BINARY_FRAME", "This stream takes no binary frames."))

    async def follow(
        self,
        *,
        order_id: UUID | None,
        seen: dict[UUID, int],
        finished_at: dict[UUID, float] | None = None,
    ) -> None:
        self.subscription = Subscription(
            opened_by=self.opened_by,
            order_id=order_id,
            send=self.send,
            close=self.close,
            seen=seen,
            newer_than=None if order_id else oldest_recent_id(),
            finished_at=finished_at or {},
        )
        await hub().join(self.subscription)

    async def _or_refuse(self, work: Any) -> None:
        try:
            await work
        except Refusal as refusal:
            await self._refuse(refusal)
        except Exception as error:  # the socket's edge
            problem = as_problem(error)
            if problem.status == 500:
                observe.request_failed(path=self.scope["path"], error=error)
            await self._refuse(Refusal.of(problem))

    async def _refuse(self, refusal: Refusal) -> None:
        self.is_refused = True
        await self.send(as_text({**refusal.problem, "type": "problem"}))
        await self.close(refusal.code)

    # --- what the address and the headers say -------------------------------------------------------------------------

    @property
    def query(self) -> dict[str, str]:
        return {
            name: values[-1]
            for name, values in parse_qs(self.scope["query_string"].decode()).items()
        }

    async def admitted(self) -> Account:
        """Whose socket it is: by API key, by ticket, or by the session of a person. Raises Refusal."""
        account, self.opened_by = await self._who_opens()
        return account

    async def _who_opens(self) -> tuple[Account, Pass]:
        headers = dict(self.scope["headers"])
        scheme, _, key = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if scheme.lower() == "bearer":
            valid = accounts.known_key(key.strip()) or await promptly(
                accounts.valid_key, key.strip()
            )
            if valid is not None:
                return valid.account, Pass(valid.account_id, key_id=valid.id)
        elif "ticket" in self.query:
            ticket = await promptly(accounts.redeem_ticket, self.query["ticket"])
            if ticket is not None:
                session_key = ticket.session_key or None
                return ticket.account, Pass(ticket.account_id, session_key=session_key)
        elif session_key := session_key_in(headers):
            account = await promptly(people.account_signed_in, session_key)
            if account is not None:
                return account, Pass(account.pk, session_key=session_key)
        raise Refusal.of(
            Problem(
                401,
                "NOT_AUTHENTICATED",
                "Name your account: an Authorization: Bearer header, a fresh ?ticket=, or a session of this origin.",
            )
        )

    def check_pass(self) -> None:
        """What opened the socket may not be valid any more. Raises Refusal. Touches the database."""
        if not passes.still_valid([self.opened_by]):
            raise Refusal.of(
                Problem(401, "NOT_AUTHENTICATED", "What opened this socket was revoked since.")
            )


def session_key_in(headers: Mapping[bytes, bytes]) -> str | None:
    """A browser's session, if its page is of the address that it asks: it sends cookies along for any page."""
    origin = urlsplit(headers.get(b"origin", b"").decode("latin-1"))
    if not origin.netloc or origin.netloc != headers.get(b"host", b"").decode("latin-1"):
        return None
    cookies = parse_cookie(headers.get(b"cookie", b"").decode("latin-1"))
    session_key = cookies.get(settings.SESSION_COOKIE_NAME)
    # A quoted cookie may carry a NUL, which PostgreSQL can't compare with anything.
    return None if session_key is None or "\0" in session_key else session_key


class OrderConsumer(StreamConsumer):
    """One order: what the log holds after `?after=`, then live, then 1000 after its last event."""

    async def open(self) -> None:
        given = self.scope["url_route"]["kwargs"].get("order_id") or self.query.get("orderId", "")
        account = await self.admitted()
        order_id = self._order_id(given)
        after = self._after()
        place = await hub().place_of(order_id, after=after)
        if place is None or place.account_id != account.pk:
            raise Refusal.of(Problem(404, "ORDER_NOT_FOUND", f"There is no order {order_id}."))
        if after > place.last_seq:
            beyond = f"after={after} is beyond the order's last event, which is {place.last_seq}."
            raise Refusal.of(Problem(400, "INVALID_AFTER", beyond, field="after"))
        if place.is_final and after == place.last_seq:
            await self.close(1000)
            return
        await self.follow(order_id=order_id, seen={order_id: after})

    def _order_id(self, given: str) -> UUID:
        try:
            return UUID(given)
        except ValueError:
            raise Refusal.of(
                Problem(400, "INVALID_ORDER_ID", f"{given[:64]!r} is no order id.", field="orderId")
            ) from None

    def _after(self) -> int:
        after = self.query.get("after", "0")
        if not (after.isascii() and after.isdigit()) or len(after) > 9:
            raise Refusal.of(
                Problem(
                    400, "INVALID_AFTER", "after must be the seq of an event, or 0.", field="after"
                )
            )
        return int(after)


class SubmitConsumer(StreamConsumer):
    """The first message is an order; the same socket then streams it."""

    async def open(self) -> None:
        self._account = await self.admitted()

    async def hear(self, text: str | None) -> None:
        if self.subscription is not None:
            await super().hear(text)
            return
        if text is None:
            raise Refusal.of(Problem(400, "BINARY_FRAME", "Send the order as a text frame."))
        order = await promptly(self._submit, text)
        await self.follow(order_id=order.id, seen={order.id: 0})

    def _submit(self, text: str) -> Order:
        try:
            self.check_pass()
            check_rate(self._account.id)
            return submit(self._account, text.encode(), idempotency_key=None).order
        except APIException as error:
            raise Refusal.of(as_problem(error)) from error


class AccountConsumer(StreamConsumer):
    """All of the account's orders: a snapshot of each that matters, then events, contiguous per order."""

    async def open(self) -> None:
        account = await self.admitted()
        since, newer_than = self._since(), oldest_recent_id()
        seen: dict[UUID, int] = {}
        finished_at: dict[UUID, float] = {}
        after: UUID | None = None
        while page := await promptly(
            stream_log.open_orders, account.id, since=since, newer_than=newer_than, after=after
        ):
            for order in page:
                await self.send(as_text({"type": "order.snapshot", **order_as_json(order)}))
                seen[order.id] = order.last_seq
                if order.is_final:
                    finished_at[order.id] = time.monotonic()
            after = page[-1].id
            await self._until_read()
        # What happened since the snapshot was read is in the log, which the hub reads first.
        await self.follow(order_id=None, seen=seen, finished_at=finished_at)

    async def _until_read(self) -> None:
        """Let the client read what it was sent: a long snapshot must not make it look slow. Raises Refusal."""
        unread_bytes = self.scope.get("unread_bytes", lambda: 0)
        give_up_at = time.monotonic() + PATIENCE_S
        while unread_bytes() > READ_ENOUGH_BYTES:
            if time.monotonic() > give_up_at:
                raise Refusal.of(
                    Problem(503, "TOO_SLOW", "The client reads too slowly.", retryable=True)
                )
            await asyncio.sleep(0.01)

    def _since(self) -> datetime | None:
        given = self.query.get("since")
        if given is None:
            return None
        try:
            since = parse_datetime(given.replace(" ", "+")) if len(given) < 40 else None
        except ValueError:  # well formed, but no such day or hour
            since = None
        if since is None or since.tzinfo is None:
            wanted = "since must be a time with its zone, like 2026-01-31T12:00:00Z."
            raise Refusal.of(Problem(400, "INVALID_SINCE", wanted, field="since"))
        return since


class NowhereConsumer(StreamConsumer):
    """Any other address."""

    async def open(self) -> None:
        raise Refusal.of(Problem(404, "NOT_FOUND", "There is no stream at this address."))
