# pyright: standard
"""A picture of each recorded run, without its verdict: the curves, the samples, and what the oracle saw.

python -m bench.verdicts.sheets RUN…       # writes .ganclinic/bench/sheets/RUN.png; without RUN, all of them
python -m bench.verdicts.sheets --pages    # writes the pictures of docs/findings.md
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from bench.verdicts.record import path_of
from bench.verdicts.recording import Recording, load
from bench.verdicts.suite import planned
from ganlib.records import STEP_COLUMNS

SHEETS = Path(".ganclinic/bench/sheets")
PICTURES = Path("docs/images/findings")
PAGES = {
    "healthy": "eights-bce-5-discriminator-steps-1",
    "divergence": "ring8-bce-rate-1e-1-in-the-discriminator-2",
    "both-losses-vanish": "eights-bce-joined-batches-0",
    "discriminator-wins": "digits-bce-Adam-defaults-0",
    "discriminator-inert": "eights-bce-tiny-discriminator-1",
    "exploding-gradients": "ring8-bce-unclipped-critic-1",
    "vanishing-gradients": "eights-bce-saturating-loss-slow-generator-0",
    "no-equilibrium": "colour-bce-Adam-defaults-0",
    "mode-collapse": "digits-hinge-latent-of-1-0",
    "memorisation": "eights-bce-60-images-0",
    "oscillation": "grid25-wgan-gp-latent-of-1-1",
    "deceptive-loss": "fashion-bce-tiny-discriminator-0",
    "stalled": "grid25-bce-saturating-loss-1",
    "slow-convergence": "digits-bce-cut-short-1",
}
"""By the names of the pictures: runs that are labelled with their finding and diagnosed so. What causes it, or follows
from it, may stand beside it: few runs have one finding alone."""
ROWS = 6
COLOURS = {"g_loss": "#d55e00", "d_loss_real": "#0072b2", "d_loss_fake": "#009e73"}
"""The generator's first, so that it hides neither of the others."""
NOTES = 8  # points

mpl.use("Agg")


def draw(recording: Recording, title: str, path: Path) -> None:
    """Write the sheet of a run."""
    has_bins = len(recording.bins) > 0
    widths = [3, 3, 2.2, 2.6, 2.2] if has_bins else [3, 3, 2.2, 2.6]
    figure, (losses, close, oracle, samples, *bins) = plt.subplots(
        1, len(widths), figsize=(18 if has_bins else 15, 3.9), width_ratios=widths
    )
    steps = recording.history.steps
    _curves(losses, steps, 0)
    _curves(close, steps, max(0, len(steps) - 300), from_zero=False)
    losses.set_title(title, loc="left", fontsize=10)
    close.set_title("last 300 steps", loc="left", fontsize=11)
    losses.set_ylabel("loss", fontsize=9)
    epochs = [e.epoch for e in recording.history.evaluations]
    for name, colour in (("missing", "#cc3311"), ("quality", "#009e73"), ("spread", "#666666")):
        values = recording.figure(name)
        if np.isfinite(values).any():
            oracle.plot(epochs, values, label=name, color=colour, lw=1.5)
    oracle.set_ylim(-0.05, 1.3)
    oracle.set_title("what the oracle saw", loc="left", fontsize=11)
    _samples(samples, recording)
    for axes in bins:
        _bins(axes, recording.bins)
    units = ((losses, "step"), (close, "step"), (oracle, "epoch"), *((axes, "NDB bin, largest first") for axes in bins))
    for axes, unit in units:
        axes.tick_params(labelsize=NOTES)
        axes.set_xlabel(unit, fontsize=9)
    for axes in (losses, oracle, *bins):  # below the plot: no place in it is free in every run
        axes.legend(fontsize=NOTES, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, frameon=False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80, metadata={"Software": None})
    plt.close(figure)


def _curves(axes: Axes, steps: np.ndarray, first: int, *, from_zero: bool = True) -> None:
    shown = steps[first:]
    for name, colour in COLOURS.items():
        values = shown[:, STEP_COLUMNS.index(name)]
        axes.plot(np.arange(first, first + len(values)), values, lw=0.8, color=colour, label=name, alpha=0.85)
    finite = shown[:, :3][np.isfinite(shown[:, :3])]
    if len(finite):
        low, high = np.quantile(finite, [0.005, 0.995])
        margin = max((high - low) / 10, 0.01)
        axes.set_ylim(min(0, low) if from_zero else low - margin, high + margin)
    else:
        axes.text(0.5, 0.5, "no finite loss", ha="center", transform=axes.transAxes, fontsize=8)


def _bins(axes: Axes, bins: np.ndarray) -> None:
    """Shares of the training data, and of the fakes beside them; what is cut off is written above its bar."""
    real, fake = bins[np.argsort(-bins[:, 0])].T
    places, top = np.arange(len(real)), min(3 * real.max(), max(real.max(), fake.max()))
    axes.bar(places, real, width=1.0, color="#bbbbbb", label="training data")
    axes.plot(places, np.minimum(fake, top), ".", ms=4, color="#d55e00", label="samples")
    for place in np.flatnonzero(fake > top)[:3]:
        at = {"xytext": (0, 3), "textcoords": "offset points"}
        axes.annotate(f"{fake[place]:.0%}", (place, top), fontsize=7, ha="center", va="bottom", **at)
    axes.set_ylim(0, 1.15 * top)
    axes.set_title("bins at the end", loc="left", fontsize=11)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _samples(axes: Axes, recording: Recording) -> None:
    last = recording.pictures[max(recording.pictures)]
    axes.set_title("samples at the end", loc="left", fontsize=11)
    axes.set_xticks([])
    axes.set_yticks([])
    if recording.figure("finite")[-1] == 0:
        axes.text(0.5, 0.5, "not finite, or far out", ha="center", transform=axes.transAxes, fontsize=8)
        return
    if last.ndim == 2:
        points = np.clip(np.nan_to_num(last.astype(np.float64)), -1.5, 1.5)  # what lies outside is drawn at the edge
        axes.scatter(points[:, 0], points[:, -1], s=1.5, color="#d55e00")
        axes.set_xlim(-1.6, 1.6)
        axes.set_ylim(-1.6, 1.6)
        axes.set_aspect("equal")
        return
    shown = last[: ROWS * ROWS].transpose(0, 2, 3, 1)
    side = shown.shape[1]
    grid = shown.reshape(ROWS, ROWS, side, side, -1).transpose(0, 2, 1, 3, 4).reshape(ROWS * side, ROWS * side, -1)
    axes.imshow(grid.squeeze(), cmap="gray", vmin=0, vmax=255)


def main() -> None:
    """Draw what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*")
    parser.add_argument("--into", type=Path, default=SHEETS)
    parser.add_argument("--pages", action="store_true", help="the pictures of docs/findings.md")
    options = parser.parse_args()
    if options.pages:
        runs = {run.id: run for run in planned()}
        for name, run_id in PAGES.items():
            run = runs[run_id]
            draw(load(path_of(run)), f"{run.configuration.name}, seed {run.seed}", PICTURES / f"{name}.png")
        return
    for run in planned():
        if path_of(run).exists() and (not options.runs or run.id in options.runs):
            draw(load(path_of(run)), f"{run.configuration.name}, seed {run.seed}", options.into / f"{run.id}.png")


if __name__ == "__main__":
    main()
