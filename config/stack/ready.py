"""`DATA_DIR/ready.json`: where a running stack answers, for the commands and tests that use it."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from config.stack.kept import write_private


@dataclass(frozen=True)
class Ready:
    """Every address of a running stack, the secrets to use them, and who serves them."""

    url: str
    ws_url: str
    flower_url: str
    admin_url: str
    api_key: str
    admin_user: str
    admin_password: str
    flower_user: str
    flower_password: str
    database_url: str
    chain_database_url: str
    redis_url: str
    pids: dict[str, int]

    def write(self, path: Path) -> None:
        """Atomic, mode 600. JSON in camelCase like everything else that leaves the engine."""
        fields = {camel_case(name): value for name, value in asdict(self).items()}
        write_private(path=path, text=json.dumps(fields, indent=2) + "\n")


def camel_case(name: str) -> str:
    return re.sub(r"_(.)", lambda found: found.group(1).upper(), name)
