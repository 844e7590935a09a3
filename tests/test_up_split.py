"""`WEB=split manage.py up`: REST and the sockets by a process each, and a client who needs to know nothing of it."""

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from tests.stream.client import ORDER
from tests.up import Up, assert_it_stops_cleanly, refuse, running, status_of, up_environment
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    with running(WEB="split") as up:
        yield up


def headers(up: Up) -> dict[str, str]:
    return {"Authorization": f"Bearer {up.ready['apiKey']}"}


def submit(up: Up) -> dict[str, Any]:
    url = f"{up.ready['url']}/api/orders/execute"
    order: dict[str, Any] = httpx.post(url, json=ORDER, headers=headers(up), timeout=10).json()
    return order


def test_rest_and_the_sockets_have_a_process_and_a_port_each(up: Up) -> None:
    url, ws_url = up.ready["url"], up.ready["wsUrl"]

    assert re.fullmatch(r"ws://127\.0\.0\.1:\d+", ws_url)
    assert ws_url.removeprefix("ws") != url.removeprefix("http")
    assert {"web", "stream"} <= {*up.ready["pids"]}
    for address in (url, ws_url.replace("ws", "http", 1)):
        assert status_of(f"{address}/health") == 200
        assert status_of(f"{address}/ready") == 200


def test_an_order_goes_all_the_way_at_the_addresses_that_it_is_told(up: Up) -> None:
    order = submit(up)
    with connect(order["streamUrl"], additional_headers=headers(up)) as stream:
        events = [json.loads(message) for message in stream]

    assert order["streamUrl"].startswith(f"{up.ready['wsUrl']}/")
    assert [event["seq"] for event in events] == [1, 2, 3, 4, 5]
    assert events[-1]["status"] == "confirmed"


def test_the_console_and_its_static_files_are_served_with_rest(up: Up) -> None:
    with httpx.Client(base_url=up.ready["url"], timeout=10) as browser:
        login = browser.get("/admin/login/")
        (token,) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', login.text)
        form = {
            "username": up.ready["adminUser"],
            "password": up.ready["adminPassword"],
            "csrfmiddlewaretoken": token,
            "next": "/admin/",
        }
        console = browser.post("/admin/login/", data=form, follow_redirects=True)
        files = re.findall(r'(?:href|src)="(/static/[^"]+)"', console.text)

        assert console.status_code == 200
        assert str(console.url) == up.ready["adminUrl"]
        assert files
        assert {browser.get(file).status_code for file in files} == {200}


def test_a_client_goes_on_where_it_was_when_the_sockets_process_was_killed(up: Up) -> None:
    order = submit(up)
    with connect(order["streamUrl"], additional_headers=headers(up)) as stream:
        seen = json.loads(stream.recv(timeout=10))["seq"]
        killed = up.ready["pids"]["stream"]
        os.kill(killed, signal.SIGKILL)
    wait_until(lambda: up.ready["pids"]["stream"] != killed, timeout_s=30)
    health = f"{up.ready['wsUrl'].replace('ws', 'http', 1)}/ready"
    wait_until(lambda: answers(health), timeout_s=30)

    resumed = f"{order['streamUrl']}?after={seen}"
    with connect(resumed, additional_headers=headers(up)) as stream:
        rest = [json.loads(message)["seq"] for message in stream]

    assert [seen, *rest] == [1, 2, 3, 4, 5]


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def test_all_of_it_stops_in_time_though_a_client_keeps_its_socket(up: Up) -> None:
    url = f"{up.ready['wsUrl']}/ws/orders"
    with connect(url, additional_headers=headers(up)) as stream:
        stream.recv(timeout=10)
        assert_it_stops_cleanly(up)


def test_a_value_that_is_neither_is_told_in_a_sentence(reachable_dir: Path) -> None:
    sentence = refuse(up_environment(reachable_dir, WEB="both"))
    assert sentence == "WEB must be together or split, not 'both'."


def test_a_taken_port_for_the_sockets_is_told_in_a_sentence(reachable_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        sentence = refuse(up_environment(reachable_dir, WEB="split", STREAM_PORT=str(port)))
    assert sentence == (
        f"Port {port} is taken: stop the program that uses it, or set STREAM_PORT to another number."
    )


def test_one_port_for_two_is_told_in_a_sentence(reachable_dir: Path) -> None:
    env = up_environment(reachable_dir, WEB="split", PORT="8001")
    del env["STREAM_PORT"]
    sentence = refuse(env)
    assert sentence == "PORT and STREAM_PORT are both 8001: set one of them to another number."
