"""JSON out: what every view answers, whatever a client says it would like, as long as it takes JSON."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from rest_framework import renderers
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request

MEDIA_TYPE = "application/json"


class JSONRenderer(renderers.BaseRenderer):
    """`application/json`, in UTF-8, compact."""

    media_type = MEDIA_TYPE
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        return b"" if data is None else orjson.dumps(data)


class JSONNegotiation(DefaultContentNegotiation):
    """Weighing what a client accepts costs more than answering it; most accept anything, or JSON."""

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[renderers.BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[renderers.BaseRenderer, str]:
        first, *_ = renderers
        accepts = request.META.get("HTTP_ACCEPT", "*/*")
        if accepts in ("*/*", MEDIA_TYPE) and first.media_type == MEDIA_TYPE:
            return first, MEDIA_TYPE
        chosen: tuple[Any, str] = super().select_renderer(request, renderers, format_suffix)
        return chosen
