"""Logs: structlog for our lines and the libraries' alike; readable in a terminal, JSON in production."""

import logging.config
from typing import Any, Literal

import structlog

SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]

QUIET = (
    "daphne",
    "urllib3",
    "asyncio",
    "kombu",
    "amqp",
    "celery.app.trace",
    "celery.worker.strategy",
)


def logging_config(*, level: int, format: Literal["console", "json"] | str) -> None:
    """Configure structlog and the standard library; `format` is `console` or `json`, anything else is refused."""
    if format not in ("console", "json"):
        raise ValueError(f"LOG_FORMAT must be console or json, not {format!r}.")
    renderer: list[Any]
    if format == "json":
        renderer = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        # Never tracebacks with local variables: those hold secrets.
        plain = structlog.dev.plain_traceback
        renderer = [
            structlog.dev.ConsoleRenderer(colors=False, pad_event_to=28, exception_formatter=plain)
        ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "structured": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": SHARED,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        *renderer,
                    ],
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": {name: {"level": logging.WARNING} for name in QUIET}
            | {
                # It prints a traceback a second while Redis is away; the hub says so in a line.
                "channels_redis.pubsub": {"level": logging.CRITICAL},
                # A refused request is the client's business; the pool's troubles reach us as exceptions.
                "django.request": {"level": logging.ERROR},
                "psycopg.pool": {"level": logging.ERROR},
            },
        }
    )
