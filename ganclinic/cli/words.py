"""How numbers, times, verdicts and remedies are written for people."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.text import Text

from ganlib.diagnosis.verdict import Diagnosis, Episode, Finding, Remedy
from ganlib.diagnosis.words import bare, epochs_words, percent_words
from ganlib.records import EpochEvaluation, Null

if TYPE_CHECKING:
    from ganclinic.views import RunView

NONE = "–"
STATUS_STYLES = {
    "succeeded": "green",
    "running": "cyan",
    "failed": "bold red",
    "cancelled": "yellow",
    "halted": "yellow",
    "paused": "yellow",
}
VERDICT_STYLES = {
    "healthy": "green",
    "mode collapse": "bold magenta",
    "convergence failure": "bold red",
    "divergence": "bold red",
}


def status_text(run: RunView) -> Text:
    """The status, coloured."""
    return Text(run.status, style=STATUS_STYLES.get(run.status, ""))


def verdict_text(verdict: str | None) -> Text:
    """The verdict, coloured."""
    return Text(verdict or NONE, style=VERDICT_STYLES.get(verdict or "", ""))


def progress_words(run: RunView) -> str:
    """`3/10`: epochs done of all."""
    return f"{run.epochs_done}/{run.epochs_total}"


def duration_words(seconds: float) -> str:
    """`42 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`."""
    whole = max(0, round(seconds))
    for size, unit, smaller, small_unit in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {small_unit}" if rest else "")
    return f"{whole} s"


def shortened(text: str, longest: int) -> str:
    """The text, with an ellipsis where it is longer than that."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def count_words(number: int, noun: str) -> str:
    """`1 thread`, `2 threads`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def age_words(moment: datetime, now: datetime | None = None) -> str:
    """`3 min ago`."""
    largest = duration_words(((now or datetime.now(UTC)) - moment).total_seconds()).split(" ")[:2]
    return f"{' '.join(largest)} ago"


def number_words(value: float | None) -> str:
    """Three significant digits, without a leading zero: `.08`, `1.07`, `1.2e+03`."""
    if value is None or value != value:
        return NONE
    return bare(f"{value:.3g}")


def share_words(value: float | None) -> str:
    """A share with two digits: `.08`, `1.00`."""
    if value is None or value != value:
        return NONE
    return f"{value:.2f}".removeprefix("0")


def ndb_words(evaluation: EpochEvaluation | None) -> str:
    """`.98 (null .08)`: NDB/K of the fakes beside that of real data."""
    if evaluation is None:
        return NONE
    null = evaluation.nulls.get("ndb_over_k")
    own = share_words(evaluation.values.get("ndb_over_k"))
    return f"{own} (null {share_words(null.mean)})" if null is not None else own


def grade_words(diagnosis: Diagnosis) -> str:
    """`fair (quality .62 ± .02)`: how good the samples are, and its standard error."""
    if diagnosis.grade is None or diagnosis.quality is None:
        return NONE
    error = "" if diagnosis.quality_error is None else f" ± {share_words(diagnosis.quality_error)}"
    return f"{diagnosis.grade} (quality {share_words(diagnosis.quality)}{error})"


def null_words(null: Null) -> str:
    """`.08 (.03 to .12)`: the mean of what real data scores, and where nine of ten draws lie."""
    return f"{number_words(null.mean)} ({number_words(null.q05)} to {number_words(null.q95)})"


def confidence_words(finding: Finding) -> str:
    """`43 % that this is right (6 to 79 %; measured on 3 such findings)`."""
    sure = f"{percent_words(finding.confidence)} that this is right"
    if not finding.confidence_cases:
        return sure
    low, high = (f"{100 * end:.0f}" for end in (finding.confidence_low, finding.confidence_high))
    return f"{sure} ({low} to {high} %; measured on {finding.confidence_cases} such findings)"


def episode_words(episode: Episode) -> str:
    """`mode collapse (severe), epochs 3–5`."""
    times = f"{episode.times} times in " if episode.times > 1 else ""
    return f"{episode.name} ({episode.severity}), {times}{epochs_words(episode.first_epoch, episode.last_epoch)}"


def finding_words(finding: Finding) -> str:
    """`slow convergence (mild), first seen in epoch 10`."""
    return f"{finding.name} ({finding.severity}), first seen in epoch {finding.first_epoch}"


def settings_words(patch: Mapping[str, Any]) -> str:
    """A remedy's patch as options of `ganclinic run`."""
    return " ".join(f"--set {shlex.quote(f'{path}={_value_words(value)}')}" for path, value in patch.items())


def _value_words(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def remedy_words(remedy: Remedy | None) -> str:
    """Why and what to change."""
    return f"{remedy.reason} {settings_words(remedy.patch)}".strip() if remedy is not None else NONE
