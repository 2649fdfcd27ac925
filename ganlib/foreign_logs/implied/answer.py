"""What the numbers of a log imply on their own: objective, units, how the discriminator stands, what is missing.

implied = implications(numbers, last=100)
implied.objective, implied.why            # "bce", "taken as the usual one; lsgan, hinge … are refuted: …"
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ganlib.foreign_logs.implied.accuracies import AccuracyBounds, Of, accuracy_bounds
from ganlib.foreign_logs.implied.faults import CodeFault, code_faults
from ganlib.foreign_logs.implied.numbers import Interval, Numbers, median
from ganlib.foreign_logs.implied.objectives import CANDIDATES, Objective, Possibility, left, possibilities
from ganlib.foreign_logs.implied.scales import negated, rescaled

NOTICED = 0.1
"""Of its first level: by how much a loss has moved before that is said, as `words.NOTICED` has it."""
UNKNOWN = 0.2
"""Width of the bounds on an accuracy from which they say little: healthy discriminators tell .5 to .8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Implied:
    """What a log's numbers say of the training, before any rule looks at them."""

    objective: Objective
    """The one that is taken."""
    why: str
    """Why, in a sentence."""
    is_told: bool
    """Whether somebody who knows has said it, so that no other is thought of."""
    contradiction: bool
    """Whether no objective explains the numbers, so that the code contradicts itself."""
    possibilities: tuple[Possibility, ...]
    said: tuple[str, ...]
    """Units that were inferred, a sentence each."""
    faults: tuple[CodeFault, ...]
    numbers: Numbers
    """In our units, under the objective that is taken."""
    last: int
    """Rows of the window that is judged."""

    @property
    def left(self) -> tuple[Objective, ...]:
        """Every objective that may be, the one that is taken first."""
        others = () if self.is_told or self.contradiction else left(self.possibilities)
        return (self.objective, *(o for o in others if o != self.objective))

    def numbers_under(self, objective: str) -> Numbers:
        """The numbers as another objective reads them: a turned cross-entropy is turned back."""
        turned = (objective == "negated-bce") != (self.objective == "negated-bce")
        return negated(self.numbers) if turned else self.numbers

    def accuracies(self) -> dict[Of, AccuracyBounds]:
        """Bounds on both accuracies under the objective that is taken."""
        return accuracy_bounds(self.numbers, rules_of(self.objective))

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        return {
            "objective": self.objective,
            "why": self.why,
            "left": list(self.left),
            "refuted": {p.objective: p.reason for p in self.possibilities if p.standing == "refuted"},
            "unlikely": {p.objective: p.reason for p in self.possibilities if p.standing == "unlikely"},
            "units": list(self.said),
            "code_faults": [{"name": f.name, "reason": f.reason, "check": f.check} for f in self.faults],
            "standing": standing_words(self),
        }


def rules_of(objective: str) -> str:
    """The name under which rules know an objective: a turned cross-entropy is one."""
    return "bce" if objective == "negated-bce" else objective


def implications(numbers: Numbers, last: int, told: str | None = None) -> Implied:
    """What the numbers imply; `told` is the objective that somebody names, and `last` the rows that are judged."""
    found = rescaled(numbers)
    stand = possibilities(found.numbers)
    objective, why = _taken(stand, found.numbers.objectives, told)
    contradiction = told is None and any(p.objective == objective and p.standing == "refuted" for p in stand)
    own = negated(found.numbers) if objective == "negated-bce" else found.numbers
    return Implied(
        objective=objective,
        why=why,
        is_told=told is not None,
        contradiction=contradiction,
        possibilities=stand,
        said=found.said,
        faults=code_faults(own, last) if objective in ("bce", "saturating-bce", "negated-bce") else (),
        numbers=own,
        last=last,
    )


def _taken(stand: Sequence[Possibility], hinted: Sequence[str], told: str | None) -> tuple[Objective, str]:
    """The objective that is taken, and why."""
    by_name: dict[str, Possibility] = {p.objective: p for p in stand}
    if told is not None:
        name = _family(told)
        refuted = by_name[name].reason if name in by_name and by_name[name].standing == "refuted" else ""
        return name, f"as you said{f', though the numbers refute it: {refuted}' if refuted else ''}"
    may_be = left(tuple(stand))
    if may_be:
        return may_be[0], "; ".join(filter(None, (_by_hint(may_be[0], hinted), _because(may_be, by_name))))
    name = next((n for n in (*hinted, *by_name) if n in by_name and _may_contradict(by_name[n])), "bce")
    found = by_name[name]
    others = "" if by_name["wgan"].standing == "refuted" else "; the scores of a critic alone may be anything"
    return found.objective, (
        f"no usual objective explains these numbers, so the code contradicts itself; as {name} they were read though "
        f"{found.reason}{others}"
    )


def _by_hint(name: Objective, hinted: Sequence[str]) -> str:
    """What the trainer is known for, where that says why."""
    if name not in hinted:
        return ""
    if len(hinted) == 1:
        return "this trainer minimises it unless it is told otherwise"
    return f"this trainer minimises one of {', '.join(hinted)} unless it is told otherwise"


def _because(may_be: Sequence[Objective], by_name: Mapping[str, Possibility]) -> str:
    """By what is refuted of those that are more usual, and which others are left."""
    name, *others = may_be
    words: list[str] = []
    if name == "wgan" and by_name["bce"].standing == "refuted":
        words.append(f"these cannot be cross-entropies ({by_name['bce'].reason}): they were read as those of a critic")
    else:
        more_usual = [by_name[other] for other in CANDIDATES[: CANDIDATES.index(name)]]
        words += [f"{p.objective} is refuted: {p.reason}" for p in more_usual if p.standing == "refuted"][:3]
    if name == "bce":
        words.append("a cross-entropy is the usual one")
    if by_name[name].standing == "unlikely":
        words.append(f"though {by_name[name].reason}")
    if others:
        words.append(f"{' and '.join(others)} would fit, too")
    return "; ".join(words)


def _may_contradict(possibility: Possibility) -> bool:
    """Whether code that does something else than its author thinks may leave such numbers under the objective."""
    return possibility.standing == "refuted" and not possibility.by_sign


def suspect(implied: Implied) -> Objective | None:
    """The objective that a trainer is known for, or a usual one, where losses that do not go together refute it.

    Another objective is then taken, and may be the wrong one: the code may be at fault as well.
    """
    if implied.is_told or implied.contradiction or implied.numbers.get("g_loss") is None:
        return None
    hinted = [p for p in implied.possibilities if p.objective in implied.numbers.objectives]
    known = hinted or [p for p in implied.possibilities if p.objective in ("bce", "hinge")]
    if any(p.objective in implied.left for p in known):
        return None
    return next((p.objective for p in known if _may_contradict(p)), None)


def _family(objective: str) -> Objective:
    """The candidate that an objective of `--objective` is one of."""
    named: Objective | None = next((name for name in (*CANDIDATES, "other") if name == objective), None)
    return named or ("wgan" if objective == "wgan-gp" else "bce")


# --- how the discriminator stands -------------------------------------------------------------------------------


def standing_words(implied: Implied) -> str:
    """How many reals and fakes it tells at the end, and how its loss has moved."""
    words = [w for of, found in implied.accuracies().items() if (w := _accuracy_words(of, found, implied.last))]
    total = implied.numbers.total
    if total is not None and (moved := _moved(total)):
        words.append(moved)
    return "; ".join(words)


def _accuracy_words(of: Of, found: AccuracyBounds, last: int) -> str:
    low, high = (median(values, last) for values in (found.bounds.low, found.bounds.high))
    if not found.by or not low <= high or (low < 0.01 and high > 0.99):
        return ""
    by = ", ".join(dict.fromkeys(found.by))
    share = f"{_percent(low)} to {_percent(high)}" if high - low > 0.005 else f"about {_percent(low)}"
    return f"in the end the discriminator tells {share} of the {of}s (by {by})"


def _moved(total: Interval) -> str:
    """From the first to the last tenth of the rows."""
    known = total.middle[total.finite]
    tenth = max(1, len(known) // 10)
    if len(known) < 2:
        return ""
    first, last = float(np.median(known[:tenth])), float(np.median(known[-tenth:]))
    if abs(last - first) <= NOTICED * abs(first):
        return f"its loss on reals and fakes together stayed near {first:.3g} (in the end {last:.3g})"
    return f"its loss on reals and fakes together {'rose' if last > first else 'fell'} from {first:.3g} to {last:.3g}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


# --- what would decide ------------------------------------------------------------------------------------------


def would_decide(implied: Implied, *, by_objective: bool) -> str:
    """The one thing more that would tell most; `by_objective` where a finding holds under some of those left only."""
    if by_objective:
        return f"say which loss was trained: --objective {' or '.join(dict.fromkeys(map(rules_of, implied.left)))}"
    if implied.objective == "wgan":
        return "fakes beside reals (--fakes, --real): a critic's losses do not say how good samples are"
    widths = [median(b.bounds.high - b.bounds.low, implied.last) for b in implied.accuracies().values()]
    if any(not width <= UNKNOWN for width in widths):
        return (
            "the shares of reals and of fakes that the discriminator tells (d_acc_real, d_acc_fake), logged each step"
        )
    return "fakes beside reals (--fakes, --real): collapse, and that all is well, are seen in samples only"
