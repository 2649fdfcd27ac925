"""Figures of a run as PNG or SVG bytes: losses and accuracies over its steps, and the bins of NDB.

Drawn with matplotlib's object interface, never pyplot: nothing is kept between calls, and equal arguments
give equal bytes.
"""

import io
import threading
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter, StrMethodFormatter
from numpy.typing import NDArray

from ganlib.report import STEP_COLUMNS, Bin, Evaluation

FIGURES_VERSION = 1
"""Raised whenever equal arguments give another drawing: clients keep figures by it."""
FigureFormat = Literal["png", "svg"]
Floats = NDArray[np.floating[Any]]

# Okabe & Ito's palette, told apart by colour-blind readers too.
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
PALE_BLUE, PALE_ORANGE = "#B5D3E7", "#F5CFB0"
INK, MUTED, GRID, ALARM = "#1F2933", "#667380", "#E4E7EB", "#CC3311"

LOSSES = (
    ("d_loss_real", BLUE, "discriminator, real"),
    ("d_loss_fake", ORANGE, "discriminator, fake"),
    ("g_loss", GREEN, "generator"),
)
ACCURACIES = (("d_acc_real", BLUE, "real"), ("d_acc_fake", ORANGE, "fake"))

MAX_DRAWN_BUCKETS = 2000  # two points a pixel of the figure's width: more cannot be seen
LOG_RATIO = 30.0  # a linear axis shows 1/30 of its height as ~7 pixels, the width of a few lines
CLIP_RATIO = 5.0  # real bars keep at least a fifth of the height when a collapse piles fakes on a few bins
Z_95 = 1.96
TITLE_CHARACTERS = 90

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "text.parse_math": False,  # a run named "$x" is not a formula
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "svg.fonttype": "none",
    "svg.hashsalt": "ganclinic",  # without one, ids in an SVG are drawn at random
}
_DRAWING = threading.Lock()  # matplotlib's settings and font caches are shared by all threads


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
    with _DRAWING, mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 6), dpi=120)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        figure.subplots_adjust(left=0.08, right=0.975, top=0.845, bottom=0.085, hspace=0.23)
        _draw_columns(above, finite, steps_per_epoch, LOSSES)
        _draw_columns(below, finite, steps_per_epoch, ACCURACIES)
        gaps = _shade_gaps((above, below), finite)
        _finish_losses(above, finite, gaps)
        _finish_accuracies(below)
        _finish_steps(above, below, len(steps), steps_per_epoch)
        _write_title(figure, title, f"{len(steps):,} steps, {steps_per_epoch:,} an epoch")
        return _render(figure, format)


def ndb_figure(evaluation: Evaluation, format: FigureFormat, title: str) -> bytes:
    """Share of the training data and of the fakes in each NDB bin, with 95 % intervals; bins that differ stand out.

    A bar that would dwarf the training data's is cut off and labelled with its share.

    Raises:
        ValueError: the evaluation has no bins.
    """
    if not evaluation.bins:
        raise ValueError("evaluation: there are no bins to draw")
    with _DRAWING, mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 5), dpi=120)
        axes = figure.subplots()
        figure.subplots_adjust(left=0.08, right=0.975, top=0.785, bottom=0.1)
        _draw_bins(axes, evaluation)
        _write_title(figure, title, *_ndb_lines(evaluation))
        return _render(figure, format)


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
    _place_legend(axes, [*handles, Line2D([], [], color=MUTED, linewidth=0.7, alpha=0.6, label="each step")])


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
    _place_legend(axes, [*handles, Line2D([], [], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), label="guessing")])


def _place_legend(axes: Axes, handles: list[Any]) -> None:
    axes.legend(
        handles=handles,
        loc="lower right",
        bbox_to_anchor=(1.0, 0.985),
        ncols=len(handles),
        borderaxespad=0,
        fontsize=8.5,
    )


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


# --- bins -------------------------------------------------------------------------------------------------------


def _draw_bins(axes: Axes, evaluation: Evaluation) -> None:
    bins = evaluation.bins
    real, fake = np.array([b.real for b in bins]), np.array([b.fake for b in bins])
    different = np.array([b.different for b in bins])
    ranks = np.arange(1, len(bins) + 1)
    highest = max(_upper_end(b) for b in bins)
    top = 1.12 * min(highest, CLIP_RATIO * float(real.max()))
    for offset, share, strong, pale in ((-0.4, real, BLUE, PALE_BLUE), (0.0, fake, ORANGE, PALE_ORANGE)):
        _bars(axes, ranks + offset, share, [strong if d else pale for d in different])
    _whiskers(axes, ranks - 0.2, real, np.array([b.real_se for b in bins]))
    _whiskers(axes, ranks + 0.2, fake, np.array([b.fake_se for b in bins]))
    _mark_different(axes, evaluation, top)
    _label_cut_bars(axes, ranks, fake, top)
    axes.set_xlim(0.3, len(bins) + 0.7)
    axes.set_ylim(0, top)
    axes.xaxis.set_major_locator(MaxNLocator(12, integer=True, min_n_ticks=1))
    axes.grid(axis="x", visible=False)
    axes.yaxis.set_major_formatter(FuncFormatter(_percent))
    axes.set_xlabel("bin, by falling share of the training data")
    axes.set_ylabel("share of the samples")
    _place_legend(axes, _bin_legend())


def _percent(share: float, _position: int | None = None) -> str:
    return f"{100 * share:.3g}%"


def _upper_end(ndb_bin: Bin) -> float:
    """Where the higher of the bin's two intervals ends."""
    return max(ndb_bin.real + Z_95 * ndb_bin.real_se, ndb_bin.fake + Z_95 * ndb_bin.fake_se)


def _bars(axes: Axes, left: Floats, height: Floats, colors: list[str]) -> None:
    """Bars 0.4 wide as one artist: 2,000 rectangles of their own would take a second to draw."""
    outlines = [[(x, 0), (x, h), (x + 0.4, h), (x + 0.4, 0)] for x, h in zip(left, height, strict=True)]
    axes.add_collection(PolyCollection(outlines, facecolors=colors, linewidths=0), autolim=False)


def _whiskers(axes: Axes, x: Floats, share: Floats, se: Floats) -> None:
    low = np.clip(share - Z_95 * se, 0, None)
    axes.vlines(x, low, share + Z_95 * se, color=INK, linewidth=min(0.9, 60 / len(x)), alpha=0.75)


def _mark_different(axes: Axes, evaluation: Evaluation, top: float) -> None:
    size = float(np.clip(1400 / len(evaluation.bins), 4, 30))
    for sign, marker in ((1, "^"), (-1, "v")):
        marked = [(r, _upper_end(b)) for r, b in enumerate(evaluation.bins, 1) if b.different and np.sign(b.z) == sign]
        if marked:
            x, y = np.array(marked).T + np.array([[0], [0.03 * top]])
            beside = np.where(y > 0.965 * top, 0.2, 0)  # a bar that reaches the top leaves room over its neighbour only
            axes.scatter(
                x - beside, np.minimum(y, 0.965 * top), marker=marker, s=size, color=ALARM, linewidths=0, zorder=4
            )


def _label_cut_bars(axes: Axes, ranks: NDArray[np.integer[Any]], fake: Floats, top: float) -> None:
    cut = np.flatnonzero(fake > top)
    for index in cut[np.argsort(-fake[cut])][:8]:  # more labels than this run into each other
        axes.annotate(
            f"{fake[index]:.0%}",
            (float(ranks[index]) + 0.2, top * 0.9),
            xytext=(5, 0),
            textcoords="offset points",
            fontsize=8.5,
            fontweight="bold",
            color=ORANGE,
            va="center",
        )


def _bin_legend() -> list[Any]:
    def mark(marker: str, label: str) -> Line2D:
        return Line2D(
            [], [], marker=marker, color=ALARM, linestyle="none", markersize=5, markeredgewidth=0, label=label
        )

    return [
        Patch(facecolor=BLUE, label="training data"),
        Patch(facecolor=ORANGE, label="fakes"),
        Patch(facecolor="#D5D2D0", label="pale: no difference shown"),
        Line2D([], [], color=INK, marker="|", markersize=9, linestyle="none", label="95 % interval"),
        mark("^", "too many fakes"),
        mark("v", "too few fakes"),
    ]


def _ndb_lines(evaluation: Evaluation) -> tuple[str, ...]:
    flagged = sum(b.different for b in evaluation.bins)
    null = evaluation.nulls.get("ndb_over_k")
    expected = f"; null {null.mean:.2f} (90 % within {null.q05:.2f} to {null.q95:.2f})" if null is not None else ""
    score = evaluation.values.get("ndb_over_k", float("nan"))
    epoch = f"epoch {evaluation.epoch}" if evaluation.epoch else "before training"
    return (
        f"NDB/K {score:.2f}: {flagged} of {evaluation.num_bins} bins differ at p < .05{expected}",
        f"{epoch}, {evaluation.n_fake:,} fakes against {evaluation.n_real:,} training samples, in {evaluation.space}",
    )


# --- both -------------------------------------------------------------------------------------------------------


def _write_title(figure: Figure, title: str, *lines: str) -> None:
    height_points = figure.get_figheight() * 72
    figure.text(0.08, 1 - 12 / height_points, _drawable(title), fontsize=13, fontweight="bold", va="top")
    for number, line in enumerate(lines):
        figure.text(0.08, 1 - (33 + 14 * number) / height_points, line, fontsize=9.5, color=MUTED, va="top")


def _drawable(text: str) -> str:
    """The text on one line, shortened, with a box for each character that the font lacks."""
    font = font_manager.get_font(font_manager.findfont("DejaVu Sans:bold"))
    line = " ".join(text.split())
    if len(line) > TITLE_CHARACTERS:
        line = line[: TITLE_CHARACTERS - 1] + "…"
    return "".join(c if font.get_char_index(ord(c)) else "□" for c in line)


def _render(figure: Figure, format: FigureFormat) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=format, metadata={"Date": None} if format == "svg" else {"Software": None})
    return buffer.getvalue()
