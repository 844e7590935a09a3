"""ASGI entry point: HTTP by Django, sockets by the consumers. The same address takes an order over either."""

import json
import os
from typing import Any, cast
from urllib.parse import parse_qs

from a2wsgi import WSGIMiddleware
from a2wsgi.wsgi_typing import WSGIApp

from config.wsgi import application as django_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.urls import path, re_path

from orders.api.views import ALIVE
from orders.consumers import (
    AccountConsumer,
    NowhereConsumer,
    OrderConsumer,
    SubmitConsumer,
)

follow, submit = OrderConsumer.as_asgi(), SubmitConsumer.as_asgi()


async def execute(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """`/api/orders/execute`: follows `?orderId=`, or waits for an order to submit."""
    follows = "orderId" in parse_qs(scope["query_string"].decode(), keep_blank_values=True)
    await (follow if follows else submit)(scope, receive, send)


# Views and middleware are synchronous. Django's own ASGI handler would change threads for each of them; this runs a
# request from end to end in one.
in_threads = WSGIMiddleware(cast(WSGIApp, django_application), workers=settings.WEB_THREADS)


async def http(scope: Any, receive: Any, send: Any) -> None:
    """`/health` is answered by the loop itself: threads that all wait for something don't make a process dead."""
    if scope["path"] != "/health" or scope["method"] not in ("GET", "HEAD"):
        await in_threads(scope, receive, send)
        return
    body = json.dumps(ALIVE).encode()
    headers = [(b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


application = ProtocolTypeRouter(
    {
        "http": cast(Any, http),
        "websocket": URLRouter(
            [
                path("api/orders/execute", cast(Any, execute)),
                path("api/orders/execute/<str:order_id>", follow),
                path("ws/orders", AccountConsumer.as_asgi()),
                path("ws/<str:order_id>", follow),
                re_path(r"", NowhereConsumer.as_asgi()),
            ]
        ),
    }
)
