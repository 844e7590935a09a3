"""What the groups said a moment ago: a socket that opens just after its order was placed need not ask PostgreSQL."""

from collections import OrderedDict
from uuid import UUID

from orders.stream_log import Place
from orders.subscription import Line

# About 2 KiB each.
MOST_ORDERS = 4_000


class RecentEvents:
    """The newest orders' events, each order's from seq 1 on without a gap. Belongs to one event loop."""

    def __init__(self, *, most_orders: int = MOST_ORDERS) -> None:
        self._most_orders = most_orders
        self._lines: OrderedDict[UUID, list[Line]] = OrderedDict()

    def hear(self, line: Line) -> None:
        """Keep it, if it is the next of its order; an order with a gap is forgotten."""
        lines = self._lines.get(line.order_id)
        if lines is None and line.seq == 1:
            self._lines[line.order_id] = [line]
            if len(self._lines) > self._most_orders:
                self._lines.popitem(last=False)
        elif lines is not None and line.seq == len(lines) + 1:
            lines.append(line)
        elif lines is not None and line.seq > len(lines):
            del self._lines[line.order_id]

    def place_of(self, order_id: UUID) -> Place | None:
        """How far the order had come when it was last heard of; it may be further. None if it isn't known here."""
        lines = self._lines.get(order_id)
        if lines is None:
            return None
        return Place(lines[-1].account_id, lines[-1].seq, lines[-1].is_final)

    def lines_after(self, order_id: UUID, seq: int) -> list[Line] | None:
        """What was heard after that event; None if the order isn't known here, or not that far."""
        lines = self._lines.get(order_id)
        return None if lines is None or seq > len(lines) else lines[seq:]

    def forget(self, account_id: int) -> None:
        """Nobody listens to this account any more: what it does from now on would leave gaps."""
        for order_id in [
            id_ for id_, lines in self._lines.items() if lines[0].account_id == account_id
        ]:
            del self._lines[order_id]
