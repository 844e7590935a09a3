"""JSON in, strictly: bounded, an object, exact numbers, no NaN, no key twice."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import IO, Any, ClassVar, NoReturn

from django.conf import settings
from rest_framework.parsers import BaseParser

from orders.api.problems import Problem


class StrictJSONParser(BaseParser):
    """`application/json` only. A number keeps the digits it was written with: 0.1 is Decimal("0.1")."""

    media_type = "application/json"
    max_bytes: ClassVar[int] = settings.MAX_BODY_BYTES

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        return parse_object(stream.read(self.max_bytes + 1), max_bytes=self.max_bytes)


class BatchJSONParser(StrictJSONParser):
    """The same for bodies that list many orders."""

    max_bytes = settings.MAX_BATCH_BYTES


def parse_object(body: bytes, *, max_bytes: int = settings.MAX_BODY_BYTES) -> dict[str, Any]:
    """Raises Problem: BODY_TOO_LARGE (413), EMPTY_BODY, INVALID_JSON or NOT_AN_OBJECT (400)."""
    if len(body) > max_bytes:
        raise Problem(413, "BODY_TOO_LARGE", f"The body may have at most {max_bytes} bytes.")
    if not body.strip():
        raise Problem(400, "EMPTY_BODY", "The body is empty; send a JSON object.")
    try:
        parsed = json.loads(
            body.decode(),
            parse_float=Decimal,
            parse_constant=_refuse_constant,
            object_pairs_hook=_unique_keys,
        )
    except UnicodeDecodeError:
        raise Problem(400, "INVALID_JSON", "The body is not UTF-8.") from None
    except ArithmeticError:
        raise Problem(400, "INVALID_JSON", "The body holds a number beyond all bounds.") from None
    except (ValueError, RecursionError) as error:
        raise Problem(400, "INVALID_JSON", f"The body is not valid JSON: {error}.") from None
    if b"\\u" in body:
        _refuse_lone_surrogates(parsed)
    if not isinstance(parsed, dict):
        raise Problem(400, "NOT_AN_OBJECT", "The body must be a JSON object.")
    return parsed


def _refuse_lone_surrogates(parsed: Any) -> None:
    """Half a character, written as "\\ud800", is a string to Python but can't be sent or stored."""
    try:
        json.dumps(parsed, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        raise Problem(400, "INVALID_JSON", "A string holds half a surrogate pair.") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise ValueError("a key appears twice")
    return keys
