"""Lines of a validation or a test among those of the training: `Validation: d_loss 0.9`, or lines below a heading."""

import re
from collections.abc import Iterable

from ganlib.foreign_logs.column_names import ORDERS, signal_of

ASIDE = re.compile(
    r"(?<![a-z])(?:val|valid|validat(?:ion|ing)|test|testing|eval|evaluation|evaluating|best)(?![a-z])", re.IGNORECASE
)
TRAINING = re.compile(r"(?<![a-z])train", re.IGNORECASE)
HEADING = re.compile(
    rf"\W*{ASIDE.pattern}\W*(?:(?:set|data|loss(?:es)?|results|metrics|phase|mode)\b\W*)*", re.IGNORECASE
)


class Asides:
    """Which lines are of no training, as they say themselves or a heading above them does."""

    def __init__(self) -> None:
        self.count = 0
        self.names = set[str]()
        """Of all lines that were left out."""
        self._under: set[str] | None = None
        """Names that came since a heading; None where there is none."""

    def pass_over(self, line: str) -> None:
        """Takes note of a line that holds no number under a name."""
        self._under = set() if HEADING.fullmatch(line) else None

    def end_heading(self) -> None:
        """Whatever comes is of the training again."""
        self._under = None

    def takes(self, names: Iterable[str], *, says_so: bool) -> bool:
        """Whether a line with these names is one; it is counted then."""
        names = set(names)
        if not says_so and self._under is not None:
            if all(map(is_value, names)) and self._under.isdisjoint(names):
                self._under |= names
                says_so = True
            else:  # a count, or the same names again: the training goes on
                self._under = None
        if says_so:
            self.count += 1
            self.names |= names
        return says_so


def is_value(name: str) -> bool:
    """Whether the name may be that of a value, and not only of a count."""
    return signal_of(name) not in ORDERS


def says_aside(head: str) -> bool:
    """Whether words before the first value of a line say that it is of no training."""
    return ASIDE.search(head) is not None and TRAINING.search(head) is None
