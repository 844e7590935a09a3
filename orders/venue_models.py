"""What the database keeps of venues: whether each is set aside, and what it answered lately.

`venue_health` writes both. Everything here may be lost: venues are then taken for sound until they fail again.
"""

from django.db import models
from django.db.models import F, Q


class VenueState(models.Model):
    """Whether a venue is asked for quotes: one truth for all workers. A row appears when a worker first knows it.

    Every change compares all three columns with what its writer believed, so that one worker sets a venue aside, one
    probes it, and one takes it back.
    """

    venue = models.CharField(max_length=32, primary_key=True)
    # Active, or set aside; an active venue's earlier answers count no more.
    since = models.DateTimeField()
    until = models.DateTimeField(null=True)  # then it is probed; empty while the venue is active
    failed_probes = models.PositiveIntegerField(db_default=0)  # since it was set aside

    class Meta:
        verbose_name = "venue"
        constraints = [
            models.CheckConstraint(
                condition=Q(until__isnull=False) | Q(failed_probes=0),
                name="only_who_is_set_aside_is_probed",
            ),
        ]

    def __str__(self) -> str:
        return self.venue


class VenueTally(models.Model):
    """What all workers together heard of a venue in one second. A second of which there is nothing to tell has no row.

    An order counts when it is decided: that may be in the second after its venues were asked.
    """

    at = models.DateTimeField()  # when that second began
    venue = models.CharField(max_length=32)
    asked = models.PositiveIntegerField()
    failed = models.PositiveIntegerField()
    weighed = models.PositiveIntegerField()  # for how many orders its pools were
    won = models.PositiveIntegerField()  # and how many of them went through it
    took_ms = models.PositiveBigIntegerField()  # all of its answers together
    slowest_ms = models.PositiveIntegerField()

    class Meta:
        constraints = [
            # Also the index of whoever reads the last seconds, and of remove_old_tallies. The time comes first: they
            # ask for all venues at once.
            models.UniqueConstraint(fields=["at", "venue"], name="tally_once_per_second_and_venue"),
            models.CheckConstraint(
                condition=Q(failed__lte=F("asked"), won__lte=F("weighed")),
                name="tally_counts_answers",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.venue} {self.at:%H:%M:%S}"
