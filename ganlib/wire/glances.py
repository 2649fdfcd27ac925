"""Runs at a glance: what a list shows of each."""

from ganlib.wire.epochs import NullView, SampleView
from ganlib.wire.view import View


class NdbGlance(View):
    """How far the newest evaluated fakes are spread as the training data are."""

    epoch: int
    ndb_over_k: float | None
    """Share of bins that differ."""
    null: NullView | None
    """The same where fakes are real data."""


class GlanceView(View):
    """A run's losses in a few points, its newest picture, its newest NDB, and how long it may take yet."""

    run_id: str
    epochs: tuple[int, ...]
    """Those that the losses are of, at most 40; the last recorded one is among them."""
    d_loss: tuple[float | None, ...]
    """Means over an epoch, in nats; null where not finite."""
    g_loss: tuple[float | None, ...]
    samples: SampleView | None
    ndb: NdbGlance | None
    epoch_seconds: float | None
    """Median time of the newest five epochs."""
    seconds_left: float | None
    """Of the training, once it runs, by that; null before the first epoch and where the run is over."""


class GlanceList(View):
    """The runs that were asked for and are there, in that order."""

    items: tuple[GlanceView, ...]
