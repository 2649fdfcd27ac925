"""Losses and accuracies of a run over its steps."""

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter, StrMethodFormatter

from ganlib.plots.drawing import (
    ALARM,
    BLUE,
    DRAWING,
    GREEN,
    MUTED,
    ORANGE,
    STYLE,
    Floats,
    place_legend,
    render,
    write_title,
)
from ganlib.plots.versions import FigureFormat
from ganlib.records import STEP_COLUMNS

LOSSES = (
    ("d_loss_real", BLUE, "discriminator, real"),
    ("d_loss_fake", ORANGE, "discriminator, fake"),
    ("g_loss", GREEN, "generator"),
)
ACCURACIES = (("d_acc_real", BLUE, "real"), ("d_acc_fake", ORANGE, "fake"))

MAX_DRAWN_BUCKETS = 2000  # two points a pixel of the figure's width: more cannot be seen
LOG_RATIO = 30.0  # a linear axis shows 1/30 of its height as ~7 pixels, the width of a few lines


def loss_figure(steps: Floats, steps_per_epoch: int, format: FigureFormat, title: str) -> bytes:
    """Losses (above) and the discriminator's accuracies (below): every step thin, epoch means thick.

    Args:
        steps: [t, len(STEP_COLUMNS)] from the first step; non-finite values become gaps on a shaded ground.
        steps_per_epoch: Steps an epoch, at least 1.
        format: What to write.
        title: Shown above the figure.

    Raises:
        ValueError: there is no step to draw.
    """
    if len(steps) == 0:
        raise ValueError("steps: there is no step to draw")
    finite = np.where(np.isfinite(steps), steps, np.nan).astype(np.float64)
    with DRAWING, mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 6), dpi=120)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        figure.subplots_adjust(left=0.08, right=0.975, top=0.845, bottom=0.085, hspace=0.23)
        _draw_columns(above, finite, steps_per_epoch, LOSSES)
        _draw_columns(below, finite, steps_per_epoch, ACCURACIES)
        gaps = _shade_gaps((above, below), finite)
        _finish_losses(above, finite, gaps)
        _finish_accuracies(below)
        _finish_steps(above, below, len(steps), steps_per_epoch)
        write_title(figure, title, f"{len(steps):,} steps, {steps_per_epoch:,} an epoch")
        return render(figure, format)


# --- losses and accuracies --------------------------------------------------------------------------------------


def _draw_columns(axes: Axes, steps: Floats, steps_per_epoch: int, columns: tuple[tuple[str, str, str], ...]) -> None:
    for name, color, label in columns:
        values = steps[:, STEP_COLUMNS.index(name)]
        axes.plot(*_envelope(values), color=color, linewidth=0.7, alpha=0.4)
        centres, means = _epoch_means(values, steps_per_epoch)
        marker = "o" if len(means) <= 30 else ""
        axes.plot(centres, means, color=color, linewidth=2, marker=marker, markersize=3.5, label=label)


def _envelope(values: Floats) -> tuple[Floats, Floats]:
    """Step numbers (from 1) and values; where there are too many to see, each bucket's minimum and maximum."""
    numbers = np.arange(1, len(values) + 1, dtype=np.float64)
    if len(values) <= 2 * MAX_DRAWN_BUCKETS:
        return numbers, values
    starts = np.linspace(0, len(values), MAX_DRAWN_BUCKETS, endpoint=False, dtype=np.int64)
    extremes = np.stack([np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)], axis=1)
    return np.repeat(numbers[starts], 2), extremes.ravel()


def _epoch_means(values: Floats, steps_per_epoch: int) -> tuple[Floats, Floats]:
    """Middle step and mean of each epoch; NaN where a value of it is. The last epoch may be unfinished."""
    starts = np.arange(0, len(values), steps_per_epoch)
    lengths = np.diff(np.append(starts, len(values)))
    return starts + (lengths + 1) / 2, np.add.reduceat(values, starts) / lengths


def _shade_gaps(all_axes: tuple[Axes, ...], steps: Floats) -> bool:
    """Shade the steps with a value that is not finite; whether there are any."""
    drawn = [STEP_COLUMNS.index(name) for name, _, _ in LOSSES + ACCURACIES]
    missing = np.isnan(steps[:, drawn]).any(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], missing, [False]]).astype(np.int8)))
    spans = np.stack([edges[0::2] + 0.5, edges[1::2] + 0.5], axis=1)
    for axes in all_axes:
        outlines = [[(a, 0), (a, 1), (b, 1), (b, 0)] for a, b in spans]
        axes.add_collection(
            PolyCollection(
                outlines, transform=axes.get_xaxis_transform(), facecolor=ALARM, edgecolor=ALARM, alpha=0.15, zorder=0
            ),
            autolim=False,
        )
    return len(spans) > 0


def _finish_losses(axes: Axes, steps: Floats, gaps: bool) -> None:
    losses = steps[:, [STEP_COLUMNS.index(name) for name, _, _ in LOSSES]]
    losses = losses[np.isfinite(losses)]
    logarithmic = _needs_log(losses)
    if logarithmic:
        axes.set_yscale("symlog", linthresh=1.0)
        axes.yaxis.set_major_formatter(FuncFormatter(_short_number))
    elif len(losses) and losses.min() >= 0:
        axes.set_ylim(0, max(float(losses.max()) * 1.05, 0.1))
    axes.set_ylabel("loss (nats), log above 1" if logarithmic else "loss (nats)")
    handles, _ = axes.get_legend_handles_labels()
    if gaps:
        handles.append(Patch(facecolor=ALARM, alpha=0.15, label="not finite"))
    place_legend(axes, [*handles, Line2D([], [], color=MUTED, linewidth=0.7, alpha=0.6, label="each step")])


def _short_number(value: float, _position: int | None = None) -> str:
    """1, 10, 1000, then 1e4, 1e5: narrow enough for the margin."""
    return f"{value:g}" if abs(value) < 1e4 else f"{value:.0e}".replace("e+0", "e").replace("e+", "e")


def _needs_log(losses: Floats) -> bool:
    """Whether a linear axis up to the highest loss would flatten the usual ones."""
    if len(losses) == 0:
        return False
    return bool(np.abs(losses).max() > LOG_RATIO * max(float(np.median(np.abs(losses))), 1.0))


def _finish_accuracies(axes: Axes) -> None:
    axes.axhline(0.5, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_ylabel("recognised as such")
    handles, _ = axes.get_legend_handles_labels()
    place_legend(axes, [*handles, Line2D([], [], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), label="guessing")])


def _finish_steps(above: Axes, below: Axes, num_steps: int, steps_per_epoch: int) -> None:
    below.set_xlim(0.5, num_steps + 0.5)
    below.xaxis.set_major_locator(MaxNLocator(10, integer=True, min_n_ticks=1))
    below.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    below.set_xlabel("step")
    epochs = above.secondary_xaxis(
        -0.001,
        functions=(lambda step: np.asarray(step) / steps_per_epoch, lambda epoch: np.asarray(epoch) * steps_per_epoch),
    )
    marks = MaxNLocator(10, integer=True).tick_values(0, num_steps / steps_per_epoch)
    epochs.set_ticks([float(mark) for mark in marks if mark > 0 and mark % 1 == 0])
    epochs.tick_params(length=3, labelsize=8.5, labelcolor=MUTED)
    above.text(-0.008, -0.036, "epoch", transform=above.transAxes, fontsize=8.5, color=MUTED, ha="right", va="top")
    above.tick_params(axis="x", length=0, labelbottom=False)
