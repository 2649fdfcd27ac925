# pyright: standard
"""Write each training of `bench.foreign.games` as every trainer would, read it back, and count how often that is right.

    python -m bench.foreign.logs      # minutes, where the trainings are kept; `logs` of bench/results/foreign.json

A log is given to `ganclinic diagnose` without a word on what was trained. Its verdict is held against that of the whole
history (losses and accuracies of every step at full precision, the objective told), and against what is true: who tells
what, by the accuracies of every step, and where fakes lie. No threshold was set on these trainings; what is inferred of
objectives was mended after the figures of the studied part had been seen, and the reported part was judged after that.
"""

import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench import results
from bench.foreign.games import GAMES, MODES, PARTS, RADIUS, STD, Game, Part, Training, trainings
from bench.foreign.writers import LOG_FORMATS, LogFormat
from ganlib.diagnosis.history import FEWEST_ROWS
from ganlib.diagnosis.statistics.oscillation import SHORTEST
from ganlib.diagnosis.thresholds import RULESET
from ganlib.findings import FindingName
from ganlib.foreign_logs.history import HistoryDiagnosis, diagnose_history, diagnose_reading, read_history
from ganlib.foreign_logs.reading.files import read_logs

CHANCE: dict[Game, float] = {
    "bce": 0.693,
    "relativistic": 0.693,
    "lsgan": 0.25,
    "hinge": 1.0,
    "relativistic-hinge": 1.0,
}
BLIND: dict[Game, frozenset[str]] = {
    "wgan-gp": frozenset({"convergence failure"}),
    "relativistic": frozenset({"convergence failure: discriminator wins", "convergence failure: both losses vanish"}),
    "relativistic-hinge": frozenset(
        {"convergence failure: discriminator wins", "convergence failure: both losses vanish"}
    ),
}
"""Findings that losses of an objective cannot show: a critic's have no level, those of pairs do not say who is told."""
WITHOUT_A_GENERATOR: tuple[str, ...] = ("divergence", "convergence failure: discriminator inert")
"""What is seen without the generator's loss, which some trainers print with a weight that nobody knows."""
POOR, LEFT_OUT, ALIKE = 0.2, 0.3, 0.15
LOST_SCALE = 1e4
REVERSED = 0.05
"""Of the pairs of a real and a fake, the share in the right order, below which nothing is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTraining:
    """A training, and what is true of it at its end."""

    training: Training
    true: FindingName | None
    """The harmful finding that holds, the cause first; None where nothing is wrong."""
    shown: bool
    """Whether a log of its losses can show it."""
    whole: HistoryDiagnosis
    """By every step at full precision, the objective told."""


# --- what is true -----------------------------------------------------------------------------------------------


def known(training: Training) -> KnownTraining:
    """The truth of a training, and the verdict by all of its steps."""
    true = _truth(training)
    blind = BLIND.get(training.game, frozenset())
    shown = true is not None and true != "mode collapse" and true not in blind and true.split(":")[0] not in blind
    return KnownTraining(training=training, true=true, shown=shown, whole=_whole(training))


def _truth(t: Training) -> FindingName | None:
    last = len(t.steps) // 5
    tail = {name: t.signal(name)[-last:] for name in ("d_loss_real", "d_loss_fake", "g_loss", "d_auc", "g_acc")}
    losses = np.stack([tail[name] for name in ("d_loss_real", "d_loss_fake", "g_loss")])
    if not np.isfinite(losses).all() or np.abs(losses).max() > LOST_SCALE:
        return "divergence"
    real, fake = (float(t.signal(name)[-last:].mean()) for name in ("d_acc_real", "d_acc_fake"))
    judged = t.game in ("bce", "lsgan", "hinge")  # of pairs and of critics, the side of one sample means nothing
    if judged and min(real, fake) > 0.95 and tail["g_acc"].mean() > 0.5:
        return "convergence failure: both losses vanish"
    if (judged and abs(real - fake) > 0.95) or _worse_than_guessing(t, losses, (real + fake) / 2):
        return "convergence failure: discriminator inert"
    if t.game == "wgan-gp" and _ranks_the_wrong_way(t):
        return "convergence failure: discriminator inert"
    if tail["d_auc"].mean() > 0.995 and quality(t) < POOR:
        return "convergence failure: discriminator wins"
    return "mode collapse" if _is_collapsed(t) else None


def _worse_than_guessing(t: Training, losses: np.ndarray, right: float) -> bool:
    if t.game not in CHANCE:
        return False
    parts = np.array_split((losses[0] + losses[1]) / 2, 3)
    high = min(float(np.median(part)) for part in parts) > 1.25 * CHANCE[t.game]
    return high and (right < 0.5 or t.game.startswith("relativistic"))


def _ranks_the_wrong_way(t: Training) -> bool:
    """A critic that gives every fake more than every real has learnt nothing of late."""
    last = len(t.steps) // 5
    return float(t.signal("d_auc")[-last:].mean()) < REVERSED


def _centres() -> np.ndarray:
    angles = 2 * np.pi * np.arange(MODES) / MODES
    return RADIUS * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def quality(t: Training) -> float:
    """Share of fakes within three standard deviations of a mode, over that of reals."""
    if not np.isfinite(t.fakes).all():
        return 0.0
    distances = np.linalg.norm(t.fakes[:, None] - _centres()[None], axis=2).min(1)
    return float((distances < 3 * STD).mean() / 0.989)


def _is_collapsed(t: Training) -> bool:
    nearest = np.linalg.norm(t.fakes[:, None] - _centres()[None], axis=2).argmin(1)
    shares = np.bincount(nearest, minlength=MODES) / len(nearest)
    spread = float(np.linalg.norm(t.fakes[:500, None] - t.fakes[None, -500:], axis=2).mean()) / (4 / np.pi * RADIUS)
    missing = float((shares < 0.25 / MODES).mean())
    return spread < ALIKE or (missing >= LEFT_OUT and quality(t) >= 0.1)


def _whole(t: Training) -> HistoryDiagnosis:
    """What the same signals say where nothing is rounded, left out or unknown."""
    names = ["d_loss_real", "d_loss_fake", "g_loss"]
    if t.game in ("bce", "lsgan", "hinge"):
        names += ["d_acc_real", "d_acc_fake"]
    return diagnose_history({name: t.signal(name) for name in names}, objective=t.game)


# --- what the logs say ------------------------------------------------------------------------------------------


def judged_log(one: KnownTraining, form: LogFormat) -> dict[str, Any]:
    """A log written, read and judged."""
    t = one.training
    row: dict[str, Any] = {"format": form.name, "training": t.name, "true": one.true, "shown": one.shown}
    with tempfile.TemporaryDirectory() as folder:
        path = form.write(t, Path(folder))
        try:
            tables = read_logs([path])
            [table] = [one for one in tables if one.name.endswith(form.run)] if form.run else tables
        except ValueError as error:
            return row | {"read": False, "error": str(error).replace(folder, "")}
    row["shown"] = one.shown and (one.true in WITHOUT_A_GENERATOR or "g_loss" in table.columns)
    found = diagnose_reading(read_history(table))
    told = diagnose_reading(read_history(table, objective=t.game))
    harmful = [f.name for f in found.diagnosis.findings if f.severity != "mild"]
    return row | {
        "read": True,
        "rows": len(table),
        "objective": found.reading.implied.objective,
        "left": list(found.reading.implied.left),
        "verdict": found.diagnosis.verdict,
        "told": told.diagnosis.verdict,
        "whole": one.whole.diagnosis.verdict,
        "harmful": harmful,
        "severe": [f.name for f in found.diagnosis.findings if f.severity == "severe"],
        "conditional": [conditional.words for conditional in found.conditional],
    }


def _verdict_of(row: dict[str, Any]) -> str | None:
    return None if row["true"] is None else row["true"].split(":")[0]


def is_found(row: dict[str, Any]) -> bool:
    """Whether the log's verdict is the one that is true, by whichever finding."""
    return row["read"] and row["true"] is not None and row["verdict"] == _verdict_of(row)


def figures(rows: Sequence[dict[str, Any]], known_trainings: Sequence[KnownTraining]) -> dict[str, Any]:
    """What is counted, and every log that misses."""
    read = [row for row in rows if row["read"]]
    healthy = [row for row in read if row["true"] is None]
    shown = [row for row in read if row["shown"]]
    undetermined = [row for row in read if row["verdict"] == "undetermined"]
    false = [row for row in healthy if row["severe"]]
    return {
        "trainings": len(known_trainings),
        "truth": dict(Counter(str(one.true) for one in known_trainings)),
        "whole_histories_that_find_what_they_show": _share_of_whole(known_trainings),
        "formats": len({row["format"] for row in rows}),
        "logs": len(rows),
        "read": len(read),
        "as_by_every_step": _ratio([row["verdict"] == row["whole"] for row in read]),
        "as_by_every_step_but_for_swings_in_too_few_rows": _ratio(
            [row["verdict"] == row["whole"] for row in read if not _is_too_short_for_a_swing(row)]
        ),
        "as_by_every_step_where_told_the_objective": _ratio([row["told"] == row["whole"] for row in read]),
        "healthy_logs": len(healthy),
        "healthy_logs_with_a_severe_finding": len(false),
        "failures_found_of_those_shown": _ratio([is_found(row) for row in shown]),
        "failures_found_where_told_the_objective": _ratio([row["told"] == _verdict_of(row) for row in shown]),
        "undetermined": len(undetermined),
        "undetermined_that_a_log_shows": sum(row["shown"] for row in undetermined),
        "objective_taken_is_true": _ratio([_is_true_objective(row) for row in read]),
        "by_format": _by(rows, "format"),
        "by_objective_and_fault": _by([row | {"kind": row["training"].rsplit("-", 1)[0]} for row in rows], "kind"),
        "misses_by_cause": dict(Counter(_cause(row) for row in rows if _is_missed(row))),
        "misses": [row | {"cause": _cause(row)} for row in rows if _is_missed(row)],
    }


def _is_too_short_for_a_swing(row: dict[str, Any]) -> bool:
    """Whether every step shows an oscillation, which is looked for in no fewer rows than this log has."""
    return row["whole"] == "oscillation" and row["rows"] < SHORTEST


def _is_missed(row: dict[str, Any]) -> bool:
    if not row["read"]:
        return True
    wrong = row["true"] is None and bool(row["severe"])
    return wrong or row["verdict"] != row["whole"] or (row["shown"] and not is_found(row))


def _cause(row: dict[str, Any]) -> str:
    """Why a log's verdict is another one than by every step."""
    if not row["read"]:
        return "not read"
    if row["conditional"]:
        return "told with its condition: the numbers leave an objective that overturns it"
    if is_found(row) and row["whole"] != row["verdict"]:
        return "true, and found as another objective's; by every step the true objective has no rule for it"
    if "oscillation" in (row["verdict"], row["whole"]):
        return "a swing is seen in every step, or in many more of them, and not in both"
    if "wgan" in row["left"]:
        return "a critic's scores are left, which have no level"
    return "its bounds are too wide"


def _is_true_objective(row: dict[str, Any]) -> bool:
    game = next(game for game in sorted(GAMES, key=len, reverse=True) if row["training"].startswith(game))
    return row["objective"] == game.removesuffix("-gp")


def _share_of_whole(known_trainings: Sequence[KnownTraining]) -> dict[str, Any]:
    shown = [one for one in known_trainings if one.shown and one.true is not None]
    return _ratio([one.whole.diagnosis.verdict == (one.true or "").split(":")[0] for one in shown])


def _ratio(holds: Sequence[bool]) -> dict[str, Any]:
    return {"of": len(holds), "right": sum(holds), "share": round(sum(holds) / len(holds), 4) if holds else None}


def _by(rows: Sequence[dict[str, Any]], key: str) -> dict[str, Any]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row[key], []).append(row)
    return {
        name: {
            "logs": len(own),
            "read": sum(row["read"] for row in own),
            "as_by_every_step": sum(row["read"] and row["verdict"] == row["whole"] for row in own),
            "shown": sum(row["shown"] for row in own),
            "found": sum(row["shown"] and is_found(row) for row in own),
            "severe_and_false": sum(row["read"] and row["true"] is None and bool(row["severe"]) for row in own),
        }
        for name, own in groups.items()
    }


def main() -> None:
    """Judge every log; keep what was measured of the plain loops."""
    chosen = sys.argv[1:] or list(GAMES)
    parts: dict[Part, dict[str, Any]] = {}
    for part, games in PARTS.items():
        known_trainings = [known(t) for game in games if game in chosen for t in trainings(game, part)]
        rows = [judged_log(k, form) for k in known_trainings for form in LOG_FORMATS if k.training.game in form.games]
        parts[part] = figures(rows, known_trainings)
        for name, value in parts[part].items():
            if name != "misses":
                sys.stdout.write(f"{part}, {name}: {json.dumps(value)}\n")
        for row in parts[part]["misses"]:
            sys.stdout.write(f"  {json.dumps(row)}\n")
    if set(chosen) == set(GAMES):
        kept = json.loads((results.RESULTS / "foreign.json").read_text())
        dated = {
            "measured_on": datetime.now(UTC).date().isoformat(),
            "machine": results.machine(),
            "load": list(os.getloadavg()),
            "ruleset": RULESET,
            "levels": levels(),
        }
        results.write("foreign", kept | {"logs": dated | parts})  # the plain loops were measured at another time


def levels() -> dict[str, float]:
    """What levels of `ganlib.foreign_logs.implied` rest on, by all healthy trainings of both parts."""
    healthy = [t for part in PARTS for t in trainings("hinge", part) if known(t).true is None and t.fault == "healthy"]
    largest = max(_largest_level(t.signal("d_loss_real") + t.signal("d_loss_fake")) for t in healthy)
    return {"healthy hinges": len(healthy), "largest level of healthy hinges": round(largest, 3)}


def _largest_level(d_loss: np.ndarray) -> float:
    """Of logs that end after any step, the largest median over the later half, of FEWEST_ROWS and more."""
    return max(float(np.median(d_loss[end // 2 : end])) for end in range(2 * FEWEST_ROWS, len(d_loss) + 1))


if __name__ == "__main__":
    main()
