"""Every line that the engine logs, as a named function. `error` means that someone must act.

Never logged: keys, raw payloads, signed bytes.
"""

from datetime import datetime
from uuid import UUID

import structlog

log: structlog.stdlib.BoundLogger = structlog.get_logger("engine")


def event_recorded(*, order_id: UUID, seq: int, status: str, attempt: int, message: str) -> None:
    log.info("order." + status, order_id=str(order_id), attempt=attempt, seq=seq, note=message)


def write_refused(*, order_id: UUID, status: str, error: Exception) -> None:
    """The database's own guard refused a transition: a bug of ours."""
    log.error("journal.refused", order_id=str(order_id), status=status, error=str(error))


def race_lost(*, order_id: UUID, status: str) -> None:
    log.debug("journal.race_lost", order_id=str(order_id), status=status)


def announcement_failed(*, error: Exception) -> None:
    log.warning("stream.redis_away", error=str(error))


def hint_failed(*, error: Exception) -> None:
    log.warning("hint.redis_away", error=str(error))


def send_failed(*, order_id: UUID, attempt: int, error: Exception) -> None:
    log.warning("chain.send_failed", order_id=str(order_id), attempt=attempt, error=str(error))


def ask_failed(*, signatures: int, error: Exception) -> None:
    log.warning("chain.ask_failed", signatures=signatures, error=str(error))


def execution_halted() -> None:
    log.warning("execution.halted", note="EXECUTION=halted: this worker executes nothing.")


def lease_over(*, order_id: UUID, attempt: int) -> None:
    log.warning("lease.over", order_id=str(order_id), attempt=attempt)


def in_doubt(*, order_id: UUID, attempt: int, reason: str) -> None:
    """An operator should look, though the engine goes on asking."""
    log.error("order.in_doubt", order_id=str(order_id), attempt=attempt, reason=reason)


def order_unreadable(*, order_id: UUID, error: Exception) -> None:
    """Its transaction may be on the wire, and can't be asked for until what it names is listed again."""
    log.error("order.unreadable", order_id=str(order_id), error=str(error))


def lease_lost(*, order_ids: list[UUID]) -> None:
    log.warning(
        "lease.lost", count=len(order_ids), order_ids=[str(order_id) for order_id in order_ids[:5]]
    )


def pulse_started(*, holder: str) -> None:
    log.info("pulse.started", holder=holder)


def pulse_stopped(*, released: int) -> None:
    log.info("pulse.stopped", released=released)


def pulse_failed(*, task: str, error: Exception) -> None:
    log.warning("pulse.failed", task=task, error=f"{type(error).__name__}: {error}")


def swept(*, overdue: int) -> None:
    """Found by the pulse: their hints were lost, or Redis is away."""
    log.info("pulse.swept", overdue=overdue)


def execution_failed(*, error: Exception) -> None:
    """Nothing is lost: the leases end and the orders are tried again."""
    log.error("execution.failed", exc_info=error)


def hub_failed(*, task: str, error: Exception) -> None:
    """Said once; `hub.recovered` follows."""
    log.warning("hub.failed", task=task, error=f"{type(error).__name__}: {error}")


def hub_recovered(*, task: str) -> None:
    log.info("hub.recovered", task=task)


def socket_failed(*, error: Exception) -> None:
    log.warning("hub.socket_failed", error=f"{type(error).__name__}: {error}")


def request_failed(*, path: str, error: BaseException) -> None:
    log.error("api.failed", path=path, exc_info=error)


def panel_failed(*, panel: str, error: Exception) -> None:
    """A part of the operations page is missing; the others are shown."""
    log.error("ops.panel_failed", panel=panel, error=str(error))


def venue_set_aside(*, venue: str, until: datetime) -> None:
    """Orders go to the others; it is probed by itself, and `venue.taken_back` follows."""
    log.warning("venue.set_aside", venue=venue, until=until.isoformat())


def probe_failed(*, venue: str, error: str | None, until: datetime | None) -> None:
    """The venue stays aside, for longer each time."""
    log.info(
        "venue.probe_failed", venue=venue, error=error, until=until.isoformat() if until else None
    )


def venue_taken_back(*, venue: str) -> None:
    log.info("venue.taken_back", venue=venue)


def checkpoint_written(*, n: int, digest: str, heads: int) -> None:
    """Kept elsewhere, these lines show that the newest checkpoints were cut off: their files can't."""
    log.info("checkpoint.written", n=n, hash=digest, heads=heads)


def log_broken_off(*, n: int) -> None:
    log.error(
        "checkpoint.log_broken_off",
        n=n,
        note="The database no longer says what this checkpoint says: restored (run reconcile), or changed by hand.",
    )


def export_written(*, export_id: int, rows: int) -> None:
    log.info("export.written", export_id=export_id, rows=rows)


def export_lost(*, export_id: int) -> None:
    """Cancelled, or taken over by another worker."""
    log.info("export.lost", export_id=export_id)


def export_interrupted(*, export_id: int, error: Exception) -> None:
    """A worker goes on from its last part."""
    log.warning("export.interrupted", export_id=export_id, error=f"{type(error).__name__}: {error}")


def export_failed(*, export_id: int, error: Exception) -> None:
    log.error("export.failed", export_id=export_id, exc_info=error)
