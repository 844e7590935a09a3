"""The Celery application. Each worker process also runs a pulse, whether or not the broker can be reached."""

import os

from celery import Celery, signals
from django.conf import settings

from config import collector
from config.postgres import patience

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("engine")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


# A receiver keeps Celery from configuring logging over ours.
@signals.setup_logging.connect
def keep_our_logging(**_: object) -> None:
    pass


# worker_init, not worker_ready: a worker that starts while Redis is away must execute what is due all the same.
@signals.worker_init.connect
def start_pulse(**_: object) -> None:
    from orders import observe, pulse

    patience.execute_orders(silence_s=settings.DB_SILENCE_S)
    if settings.EXECUTION == "halted":
        observe.execution_halted()
    else:
        pulse.start()
    collector.spare_what_is_loaded()


# While the pool finishes its running tasks, the pulse must begin nothing that would keep the worker longer.
@signals.worker_shutting_down.connect
def take_no_more(**_: object) -> None:
    from orders import pulse

    pulse.take_no_more()


# worker_shutdown comes after the pool has finished its running tasks: what is still held is handed over then.
@signals.worker_shutdown.connect
def stop_pulse(**_: object) -> None:
    from orders import pulse

    pulse.stop()
