"""What can go wrong with a quote, a transaction or the chain, classified by what the caller may do next."""

from typing import ClassVar


class RoutingError(Exception):
    """Something about a quote, a transaction or the chain went wrong.

    `code` is stable and for programs, `str(error)` is a sentence for people, and the class says what
    the caller may do next.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code

    def __reduce__(self) -> tuple[type["RoutingError"], tuple[str, str]]:
        # Celery pickles exceptions, and the default would forget the code.
        return type(self), (self.code, str(self))


class Unavailable(RoutingError):
    """Nothing was sent: try again."""

    retryable = True


class Rejected(RoutingError):
    """Final: the same request will be refused again."""


class FateUnknown(RoutingError):
    """Something may have been sent: ask by signature, never build anew."""
