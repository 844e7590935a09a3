"""config/proxy.conf for an nginx of this machine: what Docker gives (names, ports, a user, folders) is replaced."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

has_nginx = shutil.which("nginx") is not None
needs_nginx = pytest.mark.skipif(
    not has_nginx and "SKIP_NOTHING" not in os.environ,
    reason="there is no nginx on PATH (.ci/run brings one)",
)


def on_this_machine(conf: str, *, ports: Mapping[str, str], tmp: Path) -> str:
    """`ports`: which port here stands for which of the file's."""
    conf = re.sub(r"resolver [^;]+;", "", conf)
    conf = re.sub(
        r"server \w+:(\d+) resolve;", lambda found: f"server 127.0.0.1:{ports[found[1]]};", conf
    )
    conf = re.sub(
        r"listen (\d+)", lambda found: f"listen 127.0.0.1:{ports[found[1]]}", conf
    ).replace("/tmp/", f"{tmp}/")
    # Its workers would be nobody's, who can't reach a test's folder. In the container all of it is one user's.
    return f"user root;\n{conf}" if os.geteuid() == 0 else conf
