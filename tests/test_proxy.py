"""config/proxy.conf in a real nginx: questions and answers pass unchanged, and its own refusals are problems."""

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.stack.ports import free_port, port_is_free
from tests.compose import proxy_conf
from tests.nginx import needs_nginx, on_this_machine
from tests.waiting import wait_until

pytestmark = needs_nginx

UPGRADE = {"Connection": "Upgrade", "Upgrade": "WebSocket"}


class Echo(ThreadingHTTPServer):
    """Tells who was asked what; answers with the status that `?status=` names."""

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.name = name
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Echo

    def do_GET(self) -> None:
        body_length = len(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        asked = {
            "server": self.server.name,
            "headers": self.headers.items(),
            "bodyLength": body_length,
        }
        answer = json.dumps(asked).encode()
        self.send_response(int(self.path.partition("?status=")[2] or 200))
        self.send_header("Content-Type", "application/problem+json")
        self.send_header("Retry-After", "7")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@dataclass
class Proxy:
    url: str
    servers: list[Echo] = field(default_factory=list)

    def asked(self, method: str = "GET", **request: Any) -> dict[str, Any]:
        """What the server behind it was asked."""
        asked: dict[str, Any] = httpx.request(method, self.url, **request).json()
        return asked | {"headers": {name.lower(): value for name, value in asked["headers"]}}


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    servers = [Echo("web"), Echo("stream")]
    port = free_port()
    ports = {"8080": str(port)}
    ports |= dict(zip(("8000", "8001"), (str(s.server_port) for s in servers), strict=True))
    conf = tmp_path / "proxy.conf"
    conf.write_text(on_this_machine(proxy_conf(), ports=ports, tmp=tmp_path))
    nginx = subprocess.Popen(["nginx", "-e", "stderr", "-c", conf, "-g", "daemon off;"])
    try:
        wait_until(lambda: not port_is_free(port), what="nginx")
        yield Proxy(f"http://127.0.0.1:{port}/", servers)
    finally:
        nginx.terminate()
        nginx.wait(timeout=10)
        for server in servers:
            server.shutdown()
            server.server_close()


def test_sockets_go_to_stream_and_everything_else_to_web(proxy: Proxy) -> None:
    upgraded = proxy.asked(headers=UPGRADE)

    assert (upgraded["server"], upgraded["headers"]["upgrade"]) == ("stream", "WebSocket")
    assert upgraded["headers"]["connection"] == "upgrade"
    assert proxy.asked()["server"] == "web"
    assert proxy.asked("POST", headers={"Upgrade": "h2c"})["server"] == "web"


def test_the_host_that_was_asked_for_is_passed_on(proxy: Proxy) -> None:
    assert proxy.asked(headers={"Host": "engine.example:81"})["headers"]["host"] == (
        "engine.example:81"
    )


@pytest.mark.parametrize(
    ("said", "passed_on"), [("https", "https"), (None, "http"), ("https, http", "http")]
)
def test_the_scheme_is_what_the_one_who_ends_tls_says(
    proxy: Proxy, said: str | None, passed_on: str
) -> None:
    headers = {"X-Forwarded-Proto": said} if said else {}

    assert proxy.asked(headers=headers)["headers"]["x-forwarded-proto"] == passed_on


def test_nobody_gets_a_scheme_past_it_in_a_header_that_looks_the_same_to_wsgi(
    proxy: Proxy,
) -> None:
    headers = proxy.asked(headers={"X_Forwarded_Proto": "https"})["headers"]

    assert "x_forwarded_proto" not in headers
    assert headers["x-forwarded-proto"] == "http"


@pytest.mark.parametrize("status", [400, 404, 413, 429, 500, 502, 503, 504])
def test_a_refusal_of_the_engines_passes_unchanged(proxy: Proxy, status: int) -> None:
    answer = httpx.get(f"{proxy.url}?status={status}")

    assert answer.status_code == status
    assert answer.json()["server"] == "web"
    assert answer.headers["Retry-After"] == "7"


def test_a_body_of_up_to_a_mebibyte_is_passed_on_and_a_larger_one_refused(proxy: Proxy) -> None:
    assert proxy.asked("POST", content=b"x" * 2**20)["bodyLength"] == 2**20
    too_large = httpx.post(proxy.url, content=b"x" * (2**20 + 1))

    assert too_large.status_code == 413
    assert too_large.headers["Content-Type"] == "application/problem+json"
    assert (too_large.json()["code"], too_large.json()["retryable"]) == ("BODY_TOO_LARGE", False)


@pytest.mark.parametrize(
    ("method", "code", "retryable"),
    [("GET", "UNAVAILABLE", True), ("POST", "OUTCOME_UNKNOWN", False)],
)
def test_when_nobody_answers_the_problem_says_whether_to_ask_again(
    proxy: Proxy, method: str, code: str, retryable: bool
) -> None:
    for server in proxy.servers:
        server.shutdown()
        server.server_close()

    answer = httpx.request(method, proxy.url)

    assert answer.status_code == 503
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Retry-After"] == "1"
    assert (answer.json()["code"], answer.json()["retryable"]) == (code, retryable)


def test_a_post_that_was_cut_off_is_not_sent_again(proxy: Proxy) -> None:
    """Only the engine may decide that: it knows what it has done."""
    heard = []

    def hear_and_hang_up(server: socket.socket) -> None:
        with suppress(OSError):  # until it is closed
            while True:
                connection, _ = server.accept()
                with connection:
                    heard.append(connection.recv(1000))

    (web, _) = proxy.servers
    web.shutdown()
    web.server_close()
    with socket.create_server(("127.0.0.1", web.server_port)) as rude:
        threading.Thread(target=hear_and_hang_up, args=(rude,), daemon=True).start()
        answer = httpx.post(proxy.url, content=b"{}")

    assert answer.json()["code"] == "OUTCOME_UNKNOWN"
    assert len(heard) == 1
