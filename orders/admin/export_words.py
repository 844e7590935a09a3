"""Exports in words: which orders, how far, how long still."""

from dataclasses import dataclass

from django.contrib.admin.views.main import SEARCH_VAR, ChangeList

from orders.models import Account, Export, ExportFormat, ExportState

EVERY_ORDER = "every order"
FORMAT_NAMES = {
    ExportFormat.CSV.value: "CSV, for a spreadsheet: one row an order",
    ExportFormat.JSON_LINES.value: "JSON lines, for programs: one object a line, as the API shows orders",
}
MOST_PERCENT_UNFINISHED = 99  # the estimate may have been too low


@dataclass(frozen=True)
class Told:
    """What the page says, and says anew while the export is written."""

    state: str
    percent: int
    sentence: str
    pace: str
    isFinal: bool  # a name of the wire


def in_words(listed: ChangeList) -> str:
    """`status: failed · created: in the last hour · named “bot:1”`."""
    filters = [
        f"{spec.title}: {choice['display']}"
        for spec in listed.filter_specs
        for nth, choice in enumerate(spec.choices(listed))
        if choice["selected"] and nth > 0  # the first one is All
    ]
    known = {name for spec in listed.filter_specs for name in spec.expected_parameters()}
    others = [
        f"{name}: {_value_in_words(name, value)}"
        for name, value in listed.params.items()
        if name not in known and name != SEARCH_VAR
    ]
    named = [f"named “{listed.query}”"] if listed.query else []
    return " · ".join([*filters, *others, *named]) or EVERY_ORDER


def told(export: Export) -> Told:
    return Told(
        state=export.state,
        percent=_percent(export),
        sentence=_sentence(export),
        pace=_pace(export) if export.state == ExportState.RUNNING else "",
        isFinal=export.is_final,
    )


def _value_in_words(name: str, value: str) -> str:
    if name == "account" and value.isdigit():
        return str(Account.objects.filter(pk=int(value)).first() or value)
    return value


def _percent(export: Export) -> int:
    if export.state == ExportState.DONE:
        return 100
    whole = max(export.orders_to_see, export.orders_seen, 1)
    return min(MOST_PERCENT_UNFINISHED, export.orders_seen * 100 // whole)


def _sentence(export: Export) -> str:
    written = f"{export.rows_written:,} {'order' if export.rows_written == 1 else 'orders'} written"
    match ExportState(export.state):
        case ExportState.WAITING:
            return "Waiting for a worker; exports are written one at a time."
        case ExportState.RUNNING:
            to_see = max(export.orders_to_see, export.orders_seen)
            return f"{written}; {export.orders_seen:,} of about {to_see:,} looked through."
        case ExportState.DONE:
            return f"Done: {written}."
        case ExportState.CANCELLED:
            return "Cancelled: nothing was kept."
        case ExportState.FAILED:
            return f"Failed: {export.error}"


def _pace(export: Export) -> str:
    """Since it was begun, with all that came between."""
    if export.started_at is None or export.orders_seen == 0:
        return ""
    per_s = export.orders_seen / max(0.001, (export.touched_at - export.started_at).total_seconds())
    left_s = max(0, export.orders_to_see - export.orders_seen) / per_s
    left = f"about {left_s:.0f} s" if left_s < 120 else f"about {left_s / 60:.0f} min"
    return f"{per_s:,.0f} orders a second, {left} left."
