"""What the audit has to say of the checkpoints."""

from orders.audit.run import Offender, audit
from orders.exchange import TradingDesk


def troubles(desk: TradingDesk) -> list[Offender]:
    return audit(desk).offenders["checkpoints"]
