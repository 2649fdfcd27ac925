"""What all figures share: colours, type, title, and how they become bytes.

Drawn with matplotlib's object interface, never pyplot: nothing is kept between calls, and equal arguments
give equal bytes.
"""

import io
import threading
from typing import Any

import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ganlib.plots.versions import FigureFormat

Floats = NDArray[np.floating[Any]]

# Okabe & Ito's palette, told apart by colour-blind readers too.
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
PALE_BLUE, PALE_ORANGE = "#B5D3E7", "#F5CFB0"
INK, MUTED, GRID, ALARM = "#1F2933", "#667380", "#E4E7EB", "#CC3311"

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
DRAWING = threading.Lock()  # matplotlib's settings and font caches are shared by all threads


def place_legend(axes: Axes, handles: list[Any]) -> None:
    """One line of handles above the axes, at the right."""
    axes.legend(
        handles=handles,
        loc="lower right",
        bbox_to_anchor=(1.0, 0.985),
        ncols=len(handles),
        borderaxespad=0,
        fontsize=8.5,
    )


def write_title(figure: Figure, title: str, *lines: str) -> None:
    """The title and smaller lines under it, at the top left."""
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


def render(figure: Figure, format: FigureFormat) -> bytes:
    """The figure as a file, the same bytes each time."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=format, metadata={"Date": None} if format == "svg" else {"Software": None})
    return buffer.getvalue()
