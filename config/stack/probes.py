"""Questions that show whether a process of the stack does its work yet."""

import http.client
import logging
from contextlib import suppress

from celery import Celery
from kombu.exceptions import OperationalError

ASK_TIMEOUT_S = 2.0


def web_is_ready(port: int) -> bool:
    return _status(port, "/ready") == 200


def flower_answers(port: int) -> bool:
    # 401 is an answer, and the one to expect: it asks for its password.
    return _status(port, "/") in (200, 302, 401)


class WorkerProbe:
    """Asks one worker over the broker whether it listens. Knows no task and no Django setting."""

    def __init__(self, *, redis_url: str, node: str) -> None:
        self._app = Celery(broker=redis_url, set_as_current=False)
        self._node = node
        logging.getLogger("kombu").setLevel(logging.ERROR)

    def __call__(self) -> bool:
        with suppress(OSError, OperationalError):
            return bool(self._app.control.ping(destination=[self._node], timeout=ASK_TIMEOUT_S))
        return False


def _status(port: int, path: str) -> int | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ASK_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
