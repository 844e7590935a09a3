"""What has to run with the engine's own settings: `python -m tests.chaos.inside keys NAME… | land`."""

import json
import os
import sys
import time

import django
import psycopg

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

LAND_TIMEOUT_S = 120.0
IN_FLIGHT = "SELECT count(*) FROM simulated_chain.transactions WHERE raw IS NOT NULL"


def keys(*names: str) -> None:
    """Make an account of each name, and print their API keys."""
    from orders import accounts

    issued = {
        name: accounts.issue_key(account=accounts.create_account(name), label="chaos")[0]
        for name in names
    }
    print(json.dumps(issued))


def land() -> None:
    """Let the chain land, or refuse, all that it took; print how many are in flight after that."""
    from django.conf import settings

    from orders.exchange import exchange

    deadline = time.monotonic() + LAND_TIMEOUT_S
    with psycopg.connect(settings.CHAIN_DATABASE_URL, autocommit=True) as chain:
        while True:
            exchange().purge(0)
            (in_flight,) = chain.execute(IN_FLIGHT).fetchone() or (0,)
            if not in_flight or time.monotonic() > deadline:
                break
            time.sleep(0.2)
    exchange().close()
    print(json.dumps(in_flight))


if __name__ == "__main__":
    django.setup()
    {"keys": keys, "land": land}[sys.argv[1]](*sys.argv[2:])
