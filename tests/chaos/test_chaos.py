"""The short form of `make chaos`: real servers, web, beat and three workers, every kind of harm once."""

from tests.chaos import report
from tests.chaos.plan import in_short
from tests.chaos.run import run


async def test_no_order_is_lost_or_doubled_whatever_dies() -> None:
    plan = in_short(orders=150, seed=1)

    done = await run(plan, lambda progress: None)

    told = "\n".join(report.lines(done))
    assert done.verdict.passed, told
    assert done.verdict.accepted == sum(done.verdict.ended.values()) == plan.orders
    assert len(done.disturbed) == len(plan.disturbances)
    # Each kind of harm met workers that held orders, or it proved nothing.
    assert {harm.cause for harm in done.harms if harm.taken} == {"killed", "paused", "cut off"}, (
        told
    )
    assert done.seen.reconnects > 0 and done.seen.refusals, told
    assert not done.folder.exists()
