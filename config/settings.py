"""Every setting of the engine, read from the environment (see `.env.example` for the list).

A value that can't be used stops the process at once and says which variable is wrong. While `manage.py up` runs,
other commands find its embedded servers through `DATA_DIR/ready.json`; a variable in the environment always wins.
"""

import json
import logging
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured
from environs import Env, validate

from config.logs import logging_config
from config.postgres.patience import PatientConnection
from routing.faults import parse_faults

BASE_DIR = Path(__file__).resolve().parent.parent

env = Env()
env.read_env(str(BASE_DIR / ".env"), recurse=False)

DATA_DIR = Path(env.str("DATA_DIR", "") or BASE_DIR / ".data").absolute()


def running_stack() -> dict[str, str]:
    """What a running `manage.py up` says of itself; empty when none runs (or the file isn't ours to read)."""
    try:
        stack: dict[str, str] = json.loads((DATA_DIR / "ready.json").read_text())
        return stack
    except (OSError, ValueError):
        return {}


def sibling_database(url: str, suffix: str) -> str:
    """The same server and user, another database: `…/engine?x=1` → `…/engine_chain?x=1`."""
    parts = urlsplit(url)
    return parts._replace(path=f"{parts.path.rstrip('/')}{suffix}").geturl()


def milliseconds(name: str, default: str) -> tuple[int, int]:
    """A delay as `"2000"` or a range as `"2000-3000"`, in milliseconds."""
    text = env.str(name, default)
    low, _, high = text.partition("-")
    if not (low.isdigit() and (high or low).isdigit() and int(low) <= int(high or low)):
        raise ImproperlyConfigured(
            f"{name} must be milliseconds like 250 or 2000-3000, not {text!r}."
        )
    return int(low), int(high or low)


def rate(name: str, default: str) -> tuple[int, int]:
    """A rate like `100/s`, `6000/min` or `90000/hour`, as (requests, seconds)."""
    text = env.str(name, default)
    count, _, unit = text.partition("/")
    seconds = {"s": 1, "sec": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600}.get(unit)
    if not count.isdigit() or int(count) == 0 or seconds is None:
        raise ImproperlyConfigured(f"{name} must be a rate like 6000/min or 100/s, not {text!r}.")
    return int(count), seconds


def faults(name: str, default: str) -> dict[str, float]:
    """The rates of single faults, like `stale_read=1,dropped=0.5`."""
    try:
        return parse_faults(env.str(name, default))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}.") from None


stack = running_stack()

# --- Django -----------------------------------------------------------------------------------------------------------

DEBUG = env.bool("DEBUG", False)
# Empty is allowed here and refused by Django on first use, so that `manage.py up`, which makes the key, can start.
SECRET_KEY = env.str("SECRET_KEY", "")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", [], subcast=str)

# TLS ends at a proxy; a laptop has none. Set HTTPS=true behind one: cookies become secure, HTTP is sent to HTTPS.
HTTPS = env.bool("HTTPS", False)
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^health$", r"^ready$"]
SESSION_COOKIE_SAMESITE = "Strict"
X_FRAME_OPTIONS = "DENY"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "csp",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "pgtrigger",
    "orders",
]
MIDDLEWARE = [
    "orders.api.outages.AnswerInTime",
    "django.middleware.security.SecurityMiddleware",
    "config.middleware.Compression",
    "config.middleware.ContentSecurityPolicy",
    "config.middleware.NoNulls",
    "config.middleware.StaticFiles",
    "config.middleware.Sessions",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "config.middleware.Authentication",
    "config.middleware.Messages",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
    )
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_URL, LOGIN_REDIRECT_URL, LOGOUT_REDIRECT_URL = "sign-in", "trade", "sign-in"
LANGUAGE_CODE = "en-gb"
USE_I18N = False
TIME_ZONE = "UTC"
CSRF_FAILURE_VIEW = "orders.pages.errors.csrf_failure"
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Files are served from where they lie: no collectstatic step before the first run.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

# --- PostgreSQL: the truth --------------------------------------------------------------------------------------------

NAMED_DATABASE_URL = env.str("DATABASE_URL", "")
DATABASE_URL = NAMED_DATABASE_URL or stack.get("databaseUrl", "")
CHAIN_DATABASE_URL = (
    env.str("CHAIN_DATABASE_URL", "")
    or ("" if NAMED_DATABASE_URL else stack.get("chainDatabaseUrl", ""))
    or (sibling_database(DATABASE_URL, "_chain") if DATABASE_URL else "")
)
WORKER_CONCURRENCY = env.int("WORKER_CONCURRENCY", 10, validate=validate.Range(min=1, max=2000))
WEB_THREADS = env.int("WEB_THREADS", 8, validate=validate.Range(min=1, max=200))
DB_POOL_SIZE = env.int(
    "DB_POOL_SIZE", WORKER_CONCURRENCY + WEB_THREADS + 4, validate=validate.Range(min=2)
)
# How long a web process or a worker waits for the next byte of PostgreSQL's answer.
DB_SILENCE_S = env.float("DB_SILENCE_S", 5.0, validate=validate.Range(min=0.5))

# Without a URL Django's dummy backend answers every query with a sentence that says so.
DATABASES = {}
if DATABASE_URL:
    DATABASES["default"] = dj_database_url.parse(DATABASE_URL, conn_max_age=0)
    DATABASES["default"]["ENGINE"] = "config.postgres"
    DATABASES["default"].setdefault("OPTIONS", {})
    DATABASES["default"]["OPTIONS"] |= {
        "connect_timeout": 2,
        # A server that vanished from the network; one that is there and says nothing is PatientConnection's.
        "tcp_user_timeout": 5_000,
        # After a failover, a standby is no server of ours.
        "target_session_attrs": "read-write",
        "keepalives_idle": 5,
        # Never by count: what `config.postgres.prepared` runs. None, Django's default, would prepare nothing at all.
        "prepare_threshold": 2**31,
        "pool": {
            "connection_class": PatientConnection,
            "min_size": 1,
            "max_size": DB_POOL_SIZE,
            "max_idle": 60,
            # Attempts to reconnect start anew this often, instead of backing off for minutes.
            "reconnect_timeout": 4,
        },
    }

# --- Redis: messages that may be lost ---------------------------------------------------------------------------------

REDIS_URL = env.str("REDIS_URL", stack.get("redisUrl", "redis://127.0.0.1:6379/0"))

CHANNEL_LAYERS = {
    "default": {
        # The default layer of channels-redis drops messages past its capacity and breaks with redis-py 8.
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {
            "hosts": [{"address": REDIS_URL, "socket_connect_timeout": 1}],
            "prefix": "engine",
        },
    }
}

CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# A publish is a hint: it fails fast, and the sweep does its work.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 0.5,
    "socket_timeout": 5,
    "max_retries": 0,
    # Redis need not remember what was taken and not acknowledged: the sweep finds what a dead worker had taken.
    "ack_emulation": False,
}
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_IGNORE_RESULT = True
# Early acknowledgement: the row and its lease guarantee the work, not the message. Late acknowledgement with the
# threads pool crashes the worker when Redis dies under running tasks.
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 4
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
# Workers tell Flower of tasks; that a hint was sent is no news, and would cost a message of its own.
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE = {
    "remove-expired-tickets": {"task": "orders.tasks.remove_expired_tickets", "schedule": 60.0},
    "remove-old-quotes": {"task": "orders.tasks.remove_old_quotes", "schedule": 60.0},
    "write-checkpoint": {"task": "orders.tasks.write_checkpoint", "schedule": 60.0},
    "remove-old-tallies": {"task": "orders.tasks.remove_old_tallies", "schedule": 60.0},
    # A hint that was lost, a worker that died: nobody waits longer than this for another one to go on.
    "write-exports": {"task": "orders.tasks.write_exports", "schedule": 30.0},
    "remove-expired-exports": {"task": "orders.tasks.remove_expired_exports", "schedule": 600.0},
    "remove-expired-sessions": {
        "task": "orders.tasks.remove_expired_sessions",
        "schedule": 3600.0,
    },
    "remove-old-slots": {"task": "orders.tasks.remove_old_slots", "schedule": 3600.0},
}

# --- The engine -------------------------------------------------------------------------------------------------------

# `halted` starts everything and executes nothing: for `manage.py reconcile`, after a restore.
EXECUTION = env.str("EXECUTION", "on", validate=validate.OneOf(["on", "halted"]))
# How long a worker may be silent before another takes over its orders.
LEASE_S = env.float("LEASE_S", 5.0, validate=validate.Range(min=0.1))
SWEEP_INTERVAL_S = env.float("SWEEP_INTERVAL_S", 1.0, validate=validate.Range(min=0.01))
QUOTE_DEADLINE_MS = env.int("QUOTE_DEADLINE_MS", 500, validate=validate.Range(min=1))
# What each leg of a route is taken to cost beside its fee, for compute units: an order is divided only for more.
LEG_COST_LAMPORTS = env.int("LEG_COST_LAMPORTS", 20_000, validate=validate.Range(min=0))
# How long an order may name a quote that its client was given.
QUOTE_TTL_S = env.int("QUOTE_TTL_S", 15, validate=validate.Range(min=1, max=3600))
MAX_ORDER_AMOUNT = env.decimal("MAX_ORDER_AMOUNT", Decimal(1_000_000_000))
ORDER_RATE_LIMIT = rate("ORDER_RATE_LIMIT", "6000/min")
# Where clients reach the sockets, like wss://stream.example; empty if that is the API's own address.
STREAM_URL = env.str("STREAM_URL", "").rstrip("/")
STREAM_TICKET_S = env.int("STREAM_TICKET_S", 30, validate=validate.Range(min=1))
SIGNER_KEYPAIR = env.str("SIGNER_KEYPAIR", "")
# Where workers keep signed checkpoints of the log, and the key that signs them (made with the first one).
CHECKPOINT_DIR = Path(env.str("CHECKPOINT_DIR", "") or DATA_DIR / "checkpoints")
CHECKPOINT_KEY_FILE = Path(env.str("CHECKPOINT_KEY_FILE", "") or DATA_DIR / "checkpoint-key.json")

# --- Pages ------------------------------------------------------------------------------------------------------------

# Where people reach Flower; empty where nobody said.
FLOWER_URL = env.str("FLOWER_URL", "").rstrip("/")

# All that a page may load, run or ask is the engine's own.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'", *([STREAM_URL] if STREAM_URL else [])],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}

# --- The simulated market and chain -----------------------------------------------------------------------------------

MOCK_SEED = env.int("MOCK_SEED", 1)
MOCK_QUOTE_DELAY_MS = env.int("MOCK_QUOTE_DELAY_MS", 200, validate=validate.Range(min=0))
MOCK_SWAP_DELAY_MS = milliseconds("MOCK_SWAP_DELAY_MS", "2000-3000")
MOCK_FAULT_RATE = env.float("MOCK_FAULT_RATE", 0.0, validate=validate.Range(min=0, max=1))
MOCK_FAULTS = faults("MOCK_FAULTS", "")
MOCK_SLOT_MS = env.int("MOCK_SLOT_MS", 400, validate=validate.Range(min=1))
MOCK_FINALITY_SLOTS = env.int("MOCK_FINALITY_SLOTS", 32, validate=validate.Range(min=0))
MOCK_BLOCKHASH_VALID_BLOCKS = env.int(
    "MOCK_BLOCKHASH_VALID_BLOCKS", 150, validate=validate.Range(min=1)
)
# Landed transactions older than this are removed from the simulated chain.
MOCK_HISTORY_H = env.int("MOCK_HISTORY_H", 24 * 30, validate=validate.Range(min=1))

# --- REST and its documents -------------------------------------------------------------------------------------------

MAX_BODY_BYTES = 64 * 1024
MAX_BATCH_BYTES = 512 * 1024
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "orders.api.authentication.ApiKeyAuthentication",
        "orders.api.authentication.SessionOfMember",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["orders.api.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "orders.api.renderers.JSONNegotiation",
    "DEFAULT_PARSER_CLASSES": ["orders.api.parsers.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "orders.api.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Order Execution Engine",
    "DESCRIPTION": "Swap orders, executed exactly once, streamed step by step.",
    "VERSION": "0.1.0",
    "SERVE_PUBLIC": True,
    "SERVE_PERMISSIONS": [],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

LOGGING_CONFIG = None
logging_config(
    level=env.log_level("LOG_LEVEL", logging.INFO), format=env.str("LOG_FORMAT", "console")
)
