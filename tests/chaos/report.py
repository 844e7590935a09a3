"""A run in words: what was done to the engine, how fast it recovered, and one line to compare engines by."""

from collections import defaultdict
from collections.abc import Iterator

from benchmarks.measure import percentile
from tests.chaos.recovery import Harm
from tests.chaos.run import Report

MAX_TROUBLES = 20


def lines(report: Report) -> Iterator[str]:
    plan, seen, verdict = report.plan, report.seen, report.verdict
    yield (
        f"{plan.orders} orders by {plan.clients} clients on {plan.workers} workers in {report.elapsed_s:.0f} s; "
        f"seed {plan.seed}, leases of {plan.lease_s:g} s"
    )
    yield "Disturbances: " + ", ".join(f"{name} ({at:.0f} s)" for at, name in report.disturbed)
    refusals = ", ".join(f"{count} {code}" for code, count in seen.refusals.most_common())
    yield (
        f"Clients: {sum(seen.refusals.values())} submissions repeated ({refusals or 'none'}; the slowest refusal "
        f"took {seen.slowest_answer_s:.1f} s), {seen.reconnects} reconnects, "
        f"{len(seen.own_streams)} order streams and {len(seen.account_streams)} account streams"
    )
    yield (
        f"From acceptance to end: {_figures(verdict.took_s)}; "
        f"{verdict.retried} orders signed again after a proven death"
    )
    yield from _recovery(report)
    for trouble in verdict.troubles[:MAX_TROUBLES]:
        yield f"TROUBLE {trouble}"
    if left := len(verdict.troubles[MAX_TROUBLES:]):
        yield f"TROUBLE and {left} more"
    if not verdict.passed:
        yield f"Everything is kept in {report.folder}"
    yield line(report)


def line(report: Report) -> str:
    """The same for every engine. Recovery is from the kill to the claim of the order by another process."""
    verdict = report.verdict
    kills = [
        taken.after_s for harm in report.harms if harm.cause == "killed" for taken in harm.taken
    ]
    return (
        f"accepted={verdict.accepted} confirmed={verdict.ended['confirmed']} "
        f"failed={verdict.ended['failed']} stuck={len(verdict.stuck)} "
        f"begun_twice={len(verdict.begun_twice)} landed_twice={len(verdict.landed_twice)} "
        f"recovery_p99_s={percentile(kills, 0.99):.2f}"
    )


def _recovery(report: Report) -> Iterator[str]:
    """From the harm to a claim by another process, and how much of that was beyond the lease."""
    by_kind: defaultdict[str, list[Harm]] = defaultdict(list)
    for harm in report.harms:
        by_kind[f"“{harm.during}”, {harm.cause}"].append(harm)
    for cause in ("paused", "cut off", "killed"):
        by_kind[f"all {cause}"] = [harm for harm in report.harms if harm.cause == cause]
    for kind, harms in by_kind.items():
        taken = [each for harm in harms for each in harm.taken]
        slowest = max(taken, key=lambda each: each.beyond_lease_s, default=None)
        yield (
            f"Recovery, {kind} ({len(harms)}×, {len(taken)} orders): "
            f"{_figures([each.after_s for each in taken])}; "
            f"beyond the lease: {_figures([each.beyond_lease_s for each in taken])}"
            + (f" ({slowest.order_id})" if slowest else "")
        )


def _figures(seconds: list[float]) -> str:
    """`p50 1.23 s, p99 4.56 s, max 7.89 s`."""
    if not seconds:
        return "none"
    p50, p99 = percentile(seconds, 0.50), percentile(seconds, 0.99)
    return f"p50 {p50:.2f} s, p99 {p99:.2f} s, max {max(seconds):.2f} s"
