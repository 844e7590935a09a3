"""Fields that say exactly what is wrong with a value."""

import re
from decimal import Decimal
from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from routing.tokens import TOKENS

DECIMAL = re.compile(r"\d{1,40}(\.\d{1,40})?", re.ASCII)
INTEGER = re.compile(r"-?\d{1,18}", re.ASCII)


@extend_schema_field(OpenApiTypes.STR)
class AmountField(serializers.Field[Decimal, Any, str, Any]):
    """A positive decimal, as a string ("1.5") or as a number, whose digits are taken as written."""

    default_error_messages = {
        "not_a_decimal": 'must be a positive decimal string such as "1.5".',
        "not_positive": "must be greater than 0.",
    }

    def to_internal_value(self, data: Any) -> Decimal:
        is_number = isinstance(data, (int, Decimal)) and not isinstance(data, bool)
        if not is_number and not (isinstance(data, str) and DECIMAL.fullmatch(data)):
            self.fail("not_a_decimal")
        amount = Decimal(data)
        if amount <= 0:
            self.fail("not_positive")
        return amount


@extend_schema_field(OpenApiTypes.STR)
class TokenField(serializers.Field[str, Any, str, Any]):
    default_error_messages = {
        "not_a_string": 'must be a token\'s symbol, such as "SOL".',
        "unknown_token": "{symbol} is not listed; GET /api/tokens shows what is.",
    }

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("not_a_string")
        if data not in TOKENS:
            self.fail("unknown_token", symbol=repr(data[:32]))
        return data


class StrictIntegerField(serializers.IntegerField):
    """An integer written as one: no strings, no booleans, no 50.0."""

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return super().to_internal_value(data)


class ParameterIntegerField(serializers.IntegerField):
    """An integer in a query, written in digits: Python would take 1_0 for 10, too."""

    def to_internal_value(self, data: Any) -> int:
        if not INTEGER.fullmatch(str(data)):
            self.fail("invalid")
        return super().to_internal_value(data)


class StrictUUIDField(serializers.UUIDField):
    """A UUID as a string: no integer becomes one."""

    def to_internal_value(self, data: Any) -> UUID:
        if not isinstance(data, str):
            self.fail("invalid", value=data)
        return super().to_internal_value(data)


class StrictCharField(serializers.RegexField):
    """A string as it stands: nothing is trimmed, no number becomes one."""

    def __init__(self, regex: str, **kwargs: Any) -> None:
        super().__init__(regex, trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class KnownFieldsSerializer(serializers.Serializer[Any]):
    """Refuses fields that it doesn't know, by name: a misspelt option must not be ignored."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        unknown = [name for name in data if name not in self.fields]
        if unknown:
            known = ", ".join(self.fields)
            raise serializers.ValidationError(
                {
                    str(name)[:64]: [
                        serializers.ErrorDetail(
                            f"is not a field here; known are {known}.", "unknown_field"
                        )
                    ]
                    for name in unknown
                }
            )
        values: dict[str, Any] = super().to_internal_value(data)
        return values
