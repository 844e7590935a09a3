"""PostgreSQL away from real web servers: every client gets an answer, soon, and it is the truth."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from django.db import connection, transaction
from websockets.sync.client import connect

from orders import accounts
from orders.models import Account, Order, OrderEvent
from tests.api.client import BATCH, EXECUTE, ORDER
from tests.engine import RestServer, StreamServer, WebServer, environment
from tests.factories import place, statuses
from tests.outage_proxy import OutageProxy
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

CLIENTS = 50
# Two seconds are promised. The rest is for fifty clients and everything else on the machine that runs the tests.
BOUND_S = 3.0
# A page has until its statements do.
PAGE_BOUND_S = 7.0
# What is not there is not there in an outage either.
PAGES = {"/": 503, "/admin/": 503, "/ops/": 503, "/orders/x": 503, "/sign-in": 503, "/nowhere": 404}
# In the new orders themselves: the statement that stores them is prepared, and sent only once.
NEW_ORDERS = b'"amount_in_base"'


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict[str, Any]
    headers: httpx.Headers
    seconds: float

    @property
    def code(self) -> str | None:
        return self.body.get("code")


class Engine:
    """Web servers with PostgreSQL behind a proxy, and an account's clients."""

    def __init__(self, proxy: OutageProxy, rest: WebServer, sockets: WebServer, key: str) -> None:
        self.proxy = proxy
        self.url = f"http://127.0.0.1:{rest.port}"
        self.socket_url = f"ws://127.0.0.1:{sockets.port}"
        self.headers = {"Authorization": f"Bearer {key}"}

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        with httpx.Client(base_url=self.url, headers=self.headers, timeout=30) as client:
            begun = time.monotonic()
            response = client.request(method, path, json=body)
            return Answer(
                response.status_code, response.json(), response.headers, time.monotonic() - begun
            )

    def submit(self, **wishes: Any) -> Answer:
        return self.ask("POST", EXECUTE, ORDER | wishes)

    def page(self, path: str) -> httpx.Response:
        """As somebody sees it whose session is looked for in the database."""
        cookie = {"Cookie": f"sessionid={'x' * 32}"}
        return httpx.get(f"{self.url}{path}", headers=cookie, timeout=30)

    def storm(self) -> list[Answer]:
        """All clients at once: every third reads, the others submit."""
        return asyncio.run(self._storm())

    async def _storm(self) -> list[Answer]:
        limits = httpx.Limits(max_connections=CLIENTS)
        async with httpx.AsyncClient(
            base_url=self.url, headers=self.headers, timeout=30, limits=limits
        ) as client:

            async def ask(number: int) -> Answer:
                begun = time.monotonic()
                if number % 3 == 0:
                    response = await client.get("/api/orders")
                else:
                    response = await client.post(EXECUTE, json=ORDER)
                return Answer(
                    response.status_code,
                    response.json(),
                    response.headers,
                    time.monotonic() - begun,
                )

            return await asyncio.gather(*(ask(number) for number in range(CLIENTS)))

    def serves_again(self) -> None:
        wait_until(lambda: self.submit().status == 201, timeout_s=15, what="an accepted order")


Web = tuple[OutageProxy, WebServer, WebServer]
"""The proxy, and who serves REST and the sockets behind it."""


@pytest.fixture(scope="module", params=["together", "split"])
def proxied_web(django_db_setup: None, request: pytest.FixtureRequest) -> Iterator[Web]:
    with OutageProxy(environment()["DATABASE_URL"]) as proxy, ExitStack() as to_stop:
        kinds = [WebServer] if request.param == "together" else [RestServer, StreamServer]
        servers = [kind(DATABASE_URL=proxy.url) for kind in kinds]
        for server in servers:
            to_stop.callback(server.stop)
        yield proxy, servers[0], servers[-1]


@pytest.fixture
def engine(proxied_web: Web, api_key: str) -> Iterator[Engine]:
    engine = Engine(*proxied_web, api_key)
    engine.serves_again()
    yield engine
    engine.proxy.recover()


def end_connections(proxy: OutageProxy) -> None:
    """As a restart does: they end, and for a moment nobody listens."""
    proxy.refuse()
    time.sleep(0.3)  # how long the restart takes
    proxy.recover()


def vanish(proxy: OutageProxy) -> None:
    """Its address is taken over: whoever still waits for the old one waits for ever."""
    proxy.go_dark()
    time.sleep(0.3)  # how long that takes
    proxy.recover(leaves_old_in_the_dark=True)


OUTAGES: dict[str, Callable[[OutageProxy], None]] = {
    "stopped": OutageProxy.refuse,
    "frozen": OutageProxy.go_dark,
    "vanished": vanish,
    "restarted": end_connections,
}


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES.keys())
def test_whoever_asks_while_postgresql_is_away_is_told_so_soon(
    engine: Engine, outage: Callable[[OutageProxy], None]
) -> None:
    beginning = threading.Timer(0.1, outage, [engine.proxy])
    beginning.start()

    answers = engine.storm()
    beginning.join()
    answers += engine.storm() + engine.storm()
    engine.proxy.recover()
    engine.serves_again()
    answers += engine.storm()

    for answer in answers:
        assert answer.seconds < BOUND_S
        if answer.status not in (200, 201):
            assert answer.status == 503, answer.body
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert int(answer.headers["Retry-After"]) >= 1
            assert answer.code in ("DATABASE_UNAVAILABLE", "OUTCOME_UNKNOWN")
            assert answer.body["retryable"] is (answer.code == "DATABASE_UNAVAILABLE")
    assert {answer.status for answer in answers[-CLIENTS:]} == {200, 201}
    nothing_is_half_written()
    accepted = [answer.body["orderId"] for answer in answers if answer.status == 201]
    assert Order.objects.filter(id__in=accepted).count() == len(accepted)


def nothing_is_half_written() -> None:
    first_events = OrderEvent.objects.filter(seq=1).values_list("order_id", flat=True)
    assert sorted(first_events) == sorted(Order.objects.values_list("id", flat=True))


@pytest.mark.parametrize("outage", [OutageProxy.refuse, OutageProxy.go_dark])
def test_the_process_is_alive_and_says_what_is_away(
    engine: Engine, outage: Callable[[OutageProxy], None]
) -> None:
    outage(engine.proxy)
    busy = threading.Thread(target=engine.storm)
    busy.start()

    health, ready = engine.ask("GET", "/health"), engine.ask("GET", "/ready")
    busy.join()

    assert (health.status, health.body) == (200, {"status": "ok"})
    assert (ready.status, ready.body["postgres"], ready.body["redis"]) == (503, "away", "ok")
    assert max(health.seconds, ready.seconds) < BOUND_S


def test_a_process_whose_threads_are_all_busy_is_alive(api_key: str) -> None:
    with OutageProxy(environment()["DATABASE_URL"]) as proxy:
        web = WebServer(WEB_THREADS="1")
        engine = Engine(proxy, web, web, api_key)
        page = threading.Thread(target=engine.page, args=["/admin/"])
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE django_session IN ACCESS EXCLUSIVE MODE")
            page.start()
            wait_until(lambda: waiting_for_locks() == 1, what="a web server that is busy")

            health = engine.ask("GET", "/health")

            assert page.is_alive()
        page.join()
        web.stop()

    assert (health.status, health.body) == (200, {"status": "ok"})


def waiting_for_locks() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_stat_clear_snapshot()"
        )  # a transaction sees the first answer for ever
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        (count,) = cursor.fetchone()
        return int(count)


@pytest.mark.parametrize("outage", [OutageProxy.refuse, OutageProxy.go_dark])
def test_pages_that_meet_the_outage_say_so_instead_of_failing(
    engine: Engine, outage: Callable[[OutageProxy], None]
) -> None:
    outage(engine.proxy)
    with ThreadPoolExecutor(len(PAGES)) as visitors:
        pages = dict(zip(PAGES, visitors.map(engine.page, PAGES), strict=True))

    assert {path: page.status_code for path, page in pages.items()} == PAGES
    for path, page in pages.items():
        if PAGES[path] == 503:
            assert "Retry-After" in page.headers
            assert "out of breath" in page.text
        else:
            assert "There is nothing here" in page.text
        assert page.elapsed.total_seconds() < PAGE_BOUND_S


# --- whether the order was placed -------------------------------------------------------------------------------------


def test_an_order_whose_answer_is_lost_may_be_placed_again_under_its_client_order_id(
    engine: Engine,
) -> None:
    engine.proxy.lose_answers_to(NEW_ORDERS)

    lost = engine.submit(clientOrderId="once")
    engine.proxy.recover()
    engine.serves_again()
    again = engine.submit(clientOrderId="once")

    assert (lost.status, lost.code, lost.body["retryable"]) == (503, "OUTCOME_UNKNOWN", True)
    assert "Retry-After" in lost.headers
    assert again.status == 200
    assert again.headers["Idempotent-Replayed"] == "true"
    assert [str(order.id) for order in Order.objects.filter(client_order_id="once")] == [
        again.body["orderId"]
    ]


def test_without_a_client_order_id_the_client_is_told_how_to_find_out(engine: Engine) -> None:
    before = set(Order.objects.values_list("id", flat=True))
    engine.proxy.lose_answers_to(NEW_ORDERS)

    lost = engine.submit()

    assert (lost.status, lost.code, lost.body["retryable"]) == (503, "OUTCOME_UNKNOWN", False)
    (stored,) = set(Order.objects.values_list("id", flat=True)) - before
    assert str(stored) in lost.body["detail"]


def test_an_order_that_never_reached_the_database_is_said_to_be_unplaced(
    engine: Engine, account: Account
) -> None:
    before = Order.objects.count()
    engine.proxy.lose_answers_to(b'"orders_apikey"')
    unknown_yet, _ = accounts.issue_key(account=account, label="another")
    engine.headers = {"Authorization": f"Bearer {unknown_yet}"}

    refused = engine.submit()

    assert (refused.status, refused.code, refused.body["retryable"]) == (
        503,
        "DATABASE_UNAVAILABLE",
        True,
    )
    assert Order.objects.count() == before


@pytest.mark.parametrize(
    "lost", [NEW_ORDERS, b'"client_order_id" IN'], ids=["storing", "looking for repeated ones"]
)
def test_a_batch_whose_answer_is_lost_may_be_sent_again_if_each_order_has_an_id(
    engine: Engine, account: Account, lost: bytes
) -> None:
    place(account, client_order_id="batch-0")
    orders = [ORDER | {"clientOrderId": f"batch-{number}"} for number in range(3)]
    engine.proxy.lose_answers_to(lost)

    broken = engine.ask("POST", BATCH, {"orders": [*orders, {"not": "an order"}]})
    engine.proxy.recover()
    engine.serves_again()
    again = engine.ask("POST", BATCH, {"orders": orders})

    assert (broken.status, broken.code, broken.body["retryable"]) == (503, "OUTCOME_UNKNOWN", True)
    assert "Retry-After" in broken.headers
    assert (again.status, again.body["accepted"], again.body["refused"]) == (200, 0, 0)
    assert Order.objects.filter(client_order_id__startswith="batch-").count() == 3


def test_of_a_lost_batch_the_orders_without_an_id_can_be_looked_for(engine: Engine) -> None:
    before = set(Order.objects.values_list("id", flat=True))
    engine.proxy.lose_answers_to(NEW_ORDERS)

    broken = engine.ask("POST", BATCH, {"orders": [ORDER | {"clientOrderId": "known"}, {}, ORDER]})

    assert (broken.status, broken.code, broken.body["retryable"]) == (503, "OUTCOME_UNKNOWN", False)
    (unnamed,) = broken.body["errors"]
    assert unnamed["field"] == "orders[2]"
    stored = Order.objects.exclude(id__in=before).get(client_order_id=None)
    assert str(stored.id) in unnamed["message"]


def test_a_batch_that_never_reached_the_database_is_said_to_be_unplaced(engine: Engine) -> None:
    before = Order.objects.count()
    engine.proxy.refuse()

    refused = engine.ask("POST", BATCH, {"orders": [ORDER] * 3})

    assert (refused.status, refused.code, refused.body["retryable"]) == (
        503,
        "DATABASE_UNAVAILABLE",
        True,
    )
    assert Order.objects.count() == before


@pytest.mark.parametrize("wishes", [{}, {"clientOrderId": "by-socket"}], ids=["without", "with"])
def test_a_socket_that_submits_is_told_the_same(engine: Engine, wishes: dict[str, str]) -> None:
    with connect(f"{engine.socket_url}{EXECUTE}", additional_headers=engine.headers) as socket:
        engine.proxy.lose_answers_to(NEW_ORDERS)
        socket.send(httpx.Request("POST", engine.url, json=ORDER | wishes).content.decode())
        problem = httpx.Response(200, text=str(socket.recv(timeout=10))).json()
        with pytest.raises(Exception, match="1013"):
            socket.recv(timeout=10)

    assert (problem["type"], problem["code"]) == ("problem", "OUTCOME_UNKNOWN")
    assert problem["retryable"] is bool(wishes)


@pytest.mark.parametrize(
    ("lost", "is_written"),
    [(b"FOR UPDATE", False), (b"COMMIT", True)],
    ids=["before", "after"],
)
def test_a_cancel_that_breaks_off_is_safe_to_repeat(
    engine: Engine, account: Account, lost: bytes, is_written: bool
) -> None:
    order = place(account)
    path = f"/api/orders/{order.id}/cancel"
    engine.proxy.lose_answers_to(lost)

    broken = engine.ask("POST", path)
    written = statuses(order)
    engine.proxy.recover()
    engine.serves_again()
    again = engine.ask("POST", path)

    assert (broken.status, broken.code, broken.body["retryable"]) == (
        503,
        "DATABASE_UNAVAILABLE",
        True,
    )
    assert written == (["pending", "cancelled"] if is_written else ["pending"])
    assert (again.status, again.body["status"]) == (202, "cancelled")
    assert statuses(order) == ["pending", "cancelled"]
