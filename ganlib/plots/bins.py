"""The bins of NDB: shares of the training data and of the fakes, and what each bin holds."""

import io
import math
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from ganlib.plots.drawing import (
    ALARM,
    BLUE,
    DRAWING,
    INK,
    MUTED,
    ORANGE,
    PALE_BLUE,
    PALE_ORANGE,
    STYLE,
    Floats,
    place_legend,
    render,
    write_title,
)
from ganlib.plots.versions import FigureFormat
from ganlib.records import Bin, EpochEvaluation

WIDTH_INCHES, BARS_HEIGHT_INCHES = 10.0, 5.0
LEFT, RIGHT = 0.08, 0.975  # of the width
IMAGES_A_ROW = 20
CELL_HEIGHT = 1.4  # of a cell's width: its number stands above the image
STRIP_MARGIN_INCHES = 0.3
CLIP_RATIO = 5.0  # real bars keep at least a fifth of the height when a collapse piles fakes on a few bins
Z_95 = 1.96


def ndb_figure(
    evaluation: EpochEvaluation, format: FigureFormat, title: str, strip: bytes | None = None, *, of_run: bool = True
) -> bytes:
    """Share of the training data and of the fakes in each NDB bin, with 95 % intervals; bins that differ stand out.

    A bar that would dwarf the training data's is cut off and labelled with its share. `strip` is what
    `ganlib.plots.image_grids.bin_strip` made of the same bins: their mean images are drawn below the bars. Uploaded
    samples are not `of_run`: they have no epoch.

    Raises:
        ValueError: the evaluation has no bins.
    """
    if not evaluation.bins:
        raise ValueError("evaluation: there are no bins to draw")
    images = [] if strip is None else _bin_images(strip, len(evaluation.bins))
    columns = min(len(evaluation.bins), IMAGES_A_ROW)
    rows = math.ceil(len(images) / columns)
    cell = WIDTH_INCHES * (RIGHT - LEFT) / columns
    below = rows * cell * CELL_HEIGHT + STRIP_MARGIN_INCHES if images else 0.0
    height = BARS_HEIGHT_INCHES + below
    with DRAWING, mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, height), dpi=120)
        _draw_bins(figure.add_axes((LEFT, (below + 0.5) / height, RIGHT - LEFT, 3.425 / height)), evaluation)
        if images:
            room = (LEFT, 0.5 * STRIP_MARGIN_INCHES / height, RIGHT - LEFT, rows * cell * CELL_HEIGHT / height)
            _draw_bin_images(figure.add_axes(room), evaluation.bins, images, columns)
        write_title(figure, title, *_ndb_lines(evaluation, of_run))
        return render(figure, format)


def _bin_images(strip: bytes, num_bins: int) -> list[NDArray[np.uint8]]:
    """[side, side, 3] of each bin."""
    pixels: NDArray[np.uint8] = np.asarray(Image.open(io.BytesIO(strip)).convert("RGB"))
    return np.split(pixels, num_bins, axis=1)


def _draw_bin_images(axes: Axes, bins: tuple[Bin, ...], images: list[NDArray[np.uint8]], columns: int) -> None:
    """Images in reading order, each under its number: as one picture, for a hundred of them take a second to draw."""
    rows, (high, wide) = math.ceil(len(images) / columns), images[0].shape[:2]
    above = round(high * (CELL_HEIGHT - 1))  # room for the number
    paper = np.full((rows * (high + above), columns * wide, 3), 255, dtype=np.uint8)
    frames: dict[bool, list[Any]] = {True: [], False: []}
    axes.set_xlim(0, columns)
    axes.set_ylim(rows * CELL_HEIGHT, 0)
    axes.axis("off")
    for place, (ndb_bin, image) in enumerate(zip(bins, images, strict=True)):
        row, column = divmod(place, columns)
        top = row * (high + above) + above
        paper[top : top + high, column * wide : (column + 1) * wide] = image
        bottom = (row + 1) * CELL_HEIGHT
        frames[ndb_bin.different].append(
            [(column, bottom - 1), (column + 1, bottom - 1), (column + 1, bottom), (column, bottom)]
        )
        mark = "" if not ndb_bin.different else " ▲" if ndb_bin.z > 0 else " ▼"
        color = ALARM if ndb_bin.different else MUTED
        axes.text(column + 0.5, bottom - 1.03, f"{place + 1}{mark}", fontsize=7, color=color, ha="center", va="bottom")
    axes.imshow(paper, extent=(0, columns, rows * CELL_HEIGHT, 0), interpolation="nearest", aspect="auto")
    axes.add_collection(PolyCollection(frames[False], facecolors="none", edgecolors="white", linewidths=1.5))
    axes.add_collection(PolyCollection(frames[True], facecolors="none", edgecolors=ALARM, linewidths=1.5))


def _draw_bins(axes: Axes, evaluation: EpochEvaluation) -> None:
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
    place_legend(axes, _bin_legend())


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


def _mark_different(axes: Axes, evaluation: EpochEvaluation, top: float) -> None:
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


def _ndb_lines(evaluation: EpochEvaluation, of_run: bool) -> tuple[str, ...]:
    flagged = sum(b.different for b in evaluation.bins)
    null = evaluation.nulls.get("ndb_over_k")
    expected = f"; null {null.mean:.2f} (90 % within {null.q05:.2f} to {null.q95:.2f})" if null is not None else ""
    score = evaluation.values.get("ndb_over_k", float("nan"))
    epoch = f"epoch {evaluation.epoch}" if evaluation.epoch else "before training"
    against = f"{evaluation.n_fake:,} fakes against {evaluation.n_real:,}"
    return (
        f"NDB/K {score:.2f}: {flagged} of {evaluation.num_bins} bins differ at p < .05{expected}",
        f"{epoch}, {against} training samples, in {evaluation.space}"
        if of_run
        else f"{against} reals, in {evaluation.space}",
    )
