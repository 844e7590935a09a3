"""Files for slow readers: the web server keeps little of them, and no thread for whoever reads nothing."""

import gzip
import socket
import time
from collections.abc import Callable, Iterator

import psutil
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from orders import exporting
from orders.models import Export, ExportPart, ExportState
from tests.engine import WebServer
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

PARTS, PART_BYTES = 40, 4 * 2**20
MOST_KEPT_BYTES = 64 * 2**20  # what is on its way, and a part or two; the file is 160 MiB


class ImpatientWebServer(WebServer):
    module = "tests.impatient_web"


class Reader:
    """A client that has asked for the file, and reads when it is told to."""

    def __init__(self, server: WebServer, export: Export, *, session: str) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        self._socket.settimeout(30)
        self._socket.connect(("127.0.0.1", server.port))
        self._socket.sendall(
            f"GET /admin/orders/export/{export.pk}/download/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Cookie: {settings.SESSION_COOKIE_NAME}={session}\r\nConnection: close\r\n\r\n".encode()
        )
        self.head = b""
        while b"\r\n\r\n" not in self.head:
            self.head += self._socket.recv(1)

    def read_all(self) -> int:
        """How many bytes there were until the connection ended."""
        count = 0
        try:
            while read := self._socket.recv(2**20):
                count += len(read)
        except ConnectionError:
            pass
        return count

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def export(db: None) -> Export:
    now = timezone.now()
    export = Export.objects.create(
        user=User.objects.create_superuser("root"),
        format="jsonl",
        words="made up",
        condition="",
        orders_to_see=0,
        parts_written=PARTS,
        state=ExportState.DONE,
        expires_at=now + exporting.KEPT,
    )
    compressed = gzip.compress(b"x" * PART_BYTES)
    for number in range(1, PARTS + 1):
        ExportPart.objects.create(
            export=export,
            number=number,
            compressed=compressed,
            bytes_compressed=len(compressed),
            bytes_plain=PART_BYTES,
        )
    return export


@pytest.fixture
def open_reader(export: Export) -> Iterator[Callable[[WebServer], Reader]]:
    client = Client()
    client.force_login(export.user)
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    readers: list[Reader] = []

    def open_reader(server: WebServer) -> Reader:
        readers.append(Reader(server, export, session=session))
        return readers[-1]

    yield open_reader
    for reader in readers:
        reader.close()


def test_a_file_waits_for_its_reader_and_is_whole(
    open_reader: Callable[[WebServer], Reader],
) -> None:
    server = WebServer()
    try:
        process = psutil.Process(server.process.pid)
        before = process.memory_info().rss

        reader = open_reader(server)
        wait_until(lambda: is_idle(process), timeout_s=30, what="a server that waits")
        kept = process.memory_info().rss - before

        assert b"200 OK" in reader.head, reader.head
        assert kept < MOST_KEPT_BYTES
        assert reader.read_all() == PARTS * PART_BYTES
    finally:
        server.stop()


def test_who_reads_nothing_keeps_no_thread(open_reader: Callable[[WebServer], Reader]) -> None:
    server = ImpatientWebServer()
    try:
        silent = [open_reader(server) for _ in range(2)]  # as many as may download at once
        assert all(b"200 OK" in reader.head for reader in silent)

        wait_until(
            lambda: b"200 OK" in open_reader(server).head, timeout_s=30, what="a place for another"
        )

        assert silent[0].read_all() < PARTS * PART_BYTES
    finally:
        server.stop()


def is_idle(process: psutil.Process) -> bool:
    before = process.cpu_times()
    time.sleep(0.3)
    after = process.cpu_times()
    return after.user + after.system - before.user - before.system < 0.05
