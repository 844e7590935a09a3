"""`python -m benchmarks.plans API_KEY`: how PostgreSQL answers what is asked most, as JSON on standard output.

The pages' queries are those that the pages make; each runs once (EXPLAIN ANALYZE), and what it writes is rolled back.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence

from benchmarks.engine import Engine
from benchmarks.generator import BenchError

OUR_TABLES = re.compile(r"Seq Scan on orders_order(event|attempt)?\b")

Plans = dict[str, list[str]]


def explain(engine: Engine) -> Plans:
    """Raises BenchError."""
    done = engine.python("-m", "benchmarks.plans", engine.ready.api_key)
    if done.returncode != 0:
        raise BenchError(f"The plans can't be read: {done.stderr[-500:]}")
    plans: Plans = json.loads(done.stdout)
    return plans


def whole_table_reads(plans: Mapping[str, Sequence[str]]) -> list[str]:
    """The queries that read one of the large tables from end to end."""
    return [name for name, lines in plans.items() if OUR_TABLES.search("\n".join(lines))]


def read_plans(api_key: str) -> Plans:
    """Needs Django, set up: so what belongs to it is imported here, and the bench itself does without."""
    from django.contrib.auth import get_user_model
    from django.test import Client

    from orders.leases import CLAIM, OVERDUE
    from orders.models import Order

    client = Client(SERVER_NAME="127.0.0.1", headers={"authorization": f"Bearer {api_key}"})
    old = Order.objects.order_by("id")[:1].get()
    plans = _of_page("list", client, "/api/orders")
    plans |= _of_page("detail", client, f"/api/orders/{old.id}")
    client.force_login(get_user_model().objects.order_by("id")[:1].get())
    plans |= _of_page("admin list", client, "/admin/orders/order/")
    plans |= _of_page("admin search", client, f"/admin/orders/order/?q={old.client_order_id}")
    claim = {"hinted": [old.id], "room": 100, "holder": "nobody", "lease_s": 5}
    plans["claim"] = _plan(CLAIM, claim)
    plans["overdue"] = _plan(OVERDUE, [0.5, 1_000])
    return plans


def _of_page(name, client, path: str) -> Plans:
    """Those of its queries that read orders, attempts or events."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        answer = client.get(path)
    if answer.status_code != 200:
        raise SystemExit(f"{path} answered {answer.status_code}")
    asked = [query["sql"] for query in captured if 'FROM "orders_order' in query["sql"]]
    # Interpolated already: a % in them is no placeholder.
    return {f"{name} {nth}": _plan(sql, None) for nth, sql in enumerate(asked, start=1)}


def _plan(sql: str, params) -> list[str]:
    from django.db import connection, transaction

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {sql}", params)
        plan = [line for (line,) in cursor.fetchall()]
        transaction.set_rollback(True)
        return plan


if __name__ == "__main__":
    import django

    django.setup()
    print(json.dumps(read_plans(sys.argv[1])))
