"""Which orders an export is of: the list's own filters and search, frozen when somebody asks.

A filter like “in the last hour” would mean other orders by the time a worker gets to them. So what is kept is the
condition as Django wrote it for PostgreSQL, with every value in it. It is signed: a worker runs no SQL that a row holds
and that this engine did not write.
"""

from uuid import UUID

import psycopg
from django.core import signing
from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db import connection
from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL
from django.db.models.lookups import GreaterThan, GreaterThanOrEqual
from django.db.models.sql.where import AND, WhereNode

from orders.models import Order

SALT = "orders.export"
EVERY_ORDER, NO_ORDER = "TRUE", "FALSE"


class JoinsOtherTables(Exception):
    """A filter reaches into other tables by a join; only in a subquery does it stand on its own."""


class UnknownCondition(Exception):
    """The condition was not signed with this engine's SECRET_KEY: it was changed, or the key was."""


def freeze(orders: QuerySet[Order]) -> str:
    """The condition of these orders, signed. Raises JoinsOtherTables."""
    query = orders.query
    used = {alias for alias in query.alias_map if query.alias_refcount[alias]}
    if joined := used - {Order._meta.db_table}:
        raise JoinsOtherTables(", ".join(sorted(joined)))
    try:
        sql, values = query.get_compiler(connection=connection).compile(query.where)
    except FullResultSet:
        sql, values = EVERY_ORDER, ()
    except EmptyResultSet:
        sql, values = NO_ORDER, ()
    connection.ensure_connection()
    condition = psycopg.ClientCursor(connection.connection).mogrify(sql or EVERY_ORDER, values)
    return signing.dumps(condition, salt=SALT)


def thaw(frozen: str) -> QuerySet[Order]:
    """The orders that the condition is true of now. Raises UnknownCondition."""
    try:
        condition: str = signing.loads(frozen, salt=SALT)
    except signing.BadSignature:
        raise UnknownCondition("The filters were kept under another SECRET_KEY.") from None
    literal = condition.replace("%", "%%")  # what stands in it is no place for a value
    return Order.objects.filter(RawSQL(literal, [], output_field=BooleanField()))


def oldest_possible(orders: QuerySet[Order]) -> UUID | None:
    """The least id that the condition lets through, if it says so. Ids begin with the time: so do filters by time."""
    return _least_id(orders.query.where)


def _least_id(where: WhereNode) -> UUID | None:
    if where.negated or where.connector != AND:
        return None
    bounds = []
    for child in where.children:
        if isinstance(child, WhereNode):
            bounds.append(_least_id(child))
        elif isinstance(child, GreaterThan | GreaterThanOrEqual) and isinstance(child.rhs, UUID):
            is_id = getattr(child.lhs, "target", None) == Order._meta.pk
            bounds.append(child.rhs if is_id else None)
    return max((bound for bound in bounds if bound is not None), default=None)
