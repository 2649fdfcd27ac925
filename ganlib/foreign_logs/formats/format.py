"""What is known of one trainer's log: how it is recognised, what its keys are, and what its numbers mean.

    FORMAT = Format(
        name="pytorch/examples DCGAN",
        where="what it prints",
        example="[0/25][0/782] Loss_D: 1.2 Loss_G: 0.9 D(x): 0.6 D(G(z)): 0.4 / 0.35",
        needs=("Loss_D", "Loss_G", "D(x)"),
        keys={"D(G(z)) / 2": D_G_Z_AFTER},
        d_loss="sum",
        objectives=("bce",),
    )

A reader of files gives names and numbers; a format gives them their meaning. It is recognised by names alone, whatever
form of file they came in. Names that a format does not list are understood as in any log
(`ganlib.foreign_logs.column_names`).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ganlib.foreign_logs.column_names import signal_of
from ganlib.foreign_logs.table import DLoss, RowSpan

UNUSED = ""
"""The signal of a key whose name would be misunderstood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What a key of a log holds: signal = scale × number + offset."""

    signal: str
    scale: float = 1.0
    offset: float = 0.0
    said: str = ""
    """What is done, for the notes; needed where the number is not the signal itself."""


def from_sign(signal: str, scale: float) -> Key:
    """The accuracy whose mean sign of a logit is logged: 1 where every sample is called real, -1 where none is."""
    how = "+" if scale > 0 else "-"
    return Key(signal=signal, scale=scale, offset=0.5, said=f"{signal} = (1 {how} mean sign) / 2, exactly")


ACC_REAL_SIGN = from_sign("d_acc_real", 0.5)
ACC_FAKE_SIGN = from_sign("d_acc_fake", -0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One trainer's log."""

    name: str
    """The trainer, as people call it."""
    where: str
    """The file that it writes, or `what it prints`."""
    example: str
    """A line or more as the trainer writes them, with at least the keys of `needs`."""
    needs: tuple[str, ...]
    """Names that are all there in a log of this trainer."""
    keys: Mapping[str, str | Key] = field(default_factory=dict[str, "str | Key"])
    """What each name holds, where the name alone does not say it, or says something else."""
    patterns: tuple[str, ...] = ()
    """Regular expressions, each of which fits a name in a log of this trainer."""
    unused: str = ""
    """A regular expression of names that hold nothing to be read."""
    forms: tuple[str, ...] = ()
    """Forms of files, where the names alone are everybody's."""
    games: str = ""
    """A regular expression that finds in a name which of several games it belongs to; what is left is looked up."""
    d_loss: DLoss | None = None
    """What `d_loss` is for certain; None where that is not known or there is none."""
    objectives: tuple[str, ...] = ()
    """What the trainer minimises unless it is told otherwise."""
    row_span: RowSpan = "update"
    notes: tuple[str, ...] = ()
    """What somebody who reads the diagnosis has to know of the format, a sentence each."""

    def recognises(self, names: Iterable[str], form: str) -> bool:
        """Whether a log with these names may be this trainer's; of tags with a path its last part is enough."""
        found = set(names)
        found |= {_last_part(name) for name in found}
        return (
            set(self.needs) <= found
            and all(any(re.search(pattern, name) for name in found) for pattern in self.patterns)
            and (not self.forms or form in self.forms)
        )

    def key_of(self, name: str) -> Key | None:
        """What the name holds; None where it holds no signal."""
        if self.unused and re.search(self.unused, name):
            return None
        found = self.listed(name)
        if found is None:
            found = signal_of(name) or UNUSED
        if isinstance(found, Key):
            return found
        return Key(signal=found) if found else None

    def listed(self, name: str) -> "str | Key | None":
        """What the format says of the name; None where it says nothing."""
        return self.keys.get(name, self.keys.get(_last_part(name)))

    def game_of(self, name: str) -> tuple[str, str]:
        """The game that a name belongs to, or the empty name of none, and the name without it."""
        found = re.search(self.games, name) if self.games else None
        if found is None:
            return "", name
        return found[1], name[: found.start()] + name[found.end() :]


def _last_part(name: str) -> str:
    return name.rsplit("/", 1)[-1]


ANY = Format(
    name="",
    where="a table or lines with names of columns that are known",
    example="step=100 loss_d=0.69 loss_g=0.70",
    needs=(),
)
"""Of a log that no format recognises."""
