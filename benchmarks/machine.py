"""Where and of what a figure was measured."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import psycopg
import redis

from config.stack.engine_processes import PROJECT
from config.stack.ready import Ready

PACKAGES = (
    *("django", "djangorestframework", "channels", "channels-redis", "celery", "psycopg"),
    *("daphne", "granian", "uvicorn"),
)


def versions(ready: Ready) -> dict[str, str]:
    """Of Python, the packages, and the servers that answered."""
    with psycopg.connect(ready.database_url) as database:
        postgres = database.info.parameter_status("server_version") or ""
    with redis.Redis.from_url(ready.redis_url) as server:
        redis_version = str(server.info("server")["redis_version"])
    packages = {name: version(name) for name in PACKAGES}
    return {
        "python": platform.python_version(),
        **packages,
        "postgresql": postgres,
        "redis": redis_version,
    }


def machine() -> dict[str, Any]:
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memoryGiB": round(psutil.virtual_memory().total / 2**30, 1),
    }


def commit() -> str:
    """Short, with a + if files differ from it; empty outside a clone."""

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=PROJECT, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--", ":!benchmarks/results")
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
