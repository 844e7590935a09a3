"""One process of the simulation: every n-th seed, on databases of its own. Says `held SEED` or `broken SEED`."""

import os
import sys

import django
from solders.keypair import Keypair

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from routing.simulated_schema import create_database_if_missing, install
from tests.embedded import drop_database


def main(first: int, end: int, step: int, bug: str) -> None:
    orders_url, chain_url = os.environ["DATABASE_URL"], os.environ["CHAIN_DATABASE_URL"]
    for url in (orders_url, chain_url):
        create_database_if_missing(url)
    install(chain_url)
    try:
        run_seeds(chain_url, range(first, end, step), bug)
    finally:
        for url in (orders_url, chain_url):
            drop_database(server_url=url, name=url.rpartition("/")[2])


def run_seeds(chain_url: str, seeds: range, bug: str) -> None:
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)

    from orders import accounts
    from tests.routing.lab import ChainLab, ManualClock
    from tests.simulation.bugs import planted
    from tests.simulation.run import desk_of, run
    from tests.simulation.world import Broken

    account = accounts.create_account("simulation")
    lab = ChainLab(chain_url, ManualClock(), Keypair.from_seed(bytes(range(32))))
    for seed in seeds:
        lab.restart()
        try:
            with planted(bug):
                run(seed, account=account, clock=lab.clock, open_chain=desk_of(lab))
        except Broken as broken:
            print(f"seed {seed}: {broken}\nbroken {seed}", flush=True)
        else:
            print(f"held {seed}", flush=True)
    lab.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
