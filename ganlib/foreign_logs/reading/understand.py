"""A sheet's names understood: whose log it is, which columns hold which signals, and of how many games and runs.

tables_of(sheet)                              # by the registry of formats, else by the names alone
tables_of(sheet, {"d_loss": "LossD"})         # as somebody says
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ganlib.foreign_logs.column_names import (
    D_ACC,
    D_G_Z,
    D_G_Z_AFTER,
    D_LOSS,
    D_X,
    G_ACC,
    LOGIT_FAKE,
    LOGIT_REAL,
    ORDERS,
    InvalidHistory,
)
from ganlib.foreign_logs.formats.format import ANY, Format, Key
from ganlib.foreign_logs.formats.registry import FORMATS, recognised
from ganlib.foreign_logs.reading import series
from ganlib.foreign_logs.reading.counts import counted
from ganlib.foreign_logs.reading.delimited import RUN_LABELS, TAG_LABELS
from ganlib.foreign_logs.reading.rows import complete_rows, one_start, rows_by_step
from ganlib.foreign_logs.reading.sheet import RawColumn, Sheet
from ganlib.foreign_logs.table import Column, Table
from ganlib.records import STEP_COLUMNS

KNOWN_SIGNALS = (*STEP_COLUMNS, D_LOSS, D_ACC, G_ACC, D_X, D_G_Z, D_G_Z_AFTER, LOGIT_REAL, LOGIT_FAKE, *ORDERS)
"""What `--column` may name."""
SHARES = frozenset({"d_acc_real", "d_acc_fake", D_ACC, G_ACC, D_X, D_G_Z, D_G_Z_AFTER, "d_auc"})
BARE = {"d": D_LOSS, "g": "g_loss"}
"""What `D: 0.5 | G: 0.7` are taken for where nothing else is known."""
PREFIX = re.compile(r"^(?P<game>.+?)(?: - |: |/|\.|\|)(?=[^/|.:]+$)")
SHOWN = 10


@dataclass(frozen=True, slots=True)
class _Use:
    """One raw column, and what it holds."""

    name: str
    key: Key
    listed: bool
    """Whether the format, or the user, says so; else the name alone does."""


def tables_of(sheet: Sheet, asked: Mapping[str, str] | None = None) -> list[Table]:
    """One table for each game and run; `asked` is the name of the column of each signal that somebody says.

    Raises:
        InvalidHistory: no name is known, or two columns hold one signal, or a cell is no number.
    """
    asked = asked or {}
    check_asked(sheet, asked)
    sheets = _runs(_pivoted(sheet))
    named = [(" ".join(filter(None, (sheet.run, name))), part) for name, part in sheets]
    tables = [table for name, part in named for table in _tables(part, name, asked)]
    if not tables:
        raise InvalidHistory(_nothing_known(sheet))
    return tables


def check_asked(sheet: Sheet, asked: Mapping[str, str]) -> None:
    """Refuses what `--column` names and is not there.

    Raises:
        InvalidHistory: it names what there is.
    """
    for signal, name in asked.items():
        if signal not in KNOWN_SIGNALS:
            near = difflib.get_close_matches(signal, KNOWN_SIGNALS, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise InvalidHistory(
                f"column {signal}={name}: '{signal}' is no signal; there are: {', '.join(KNOWN_SIGNALS)}{hint}"
            )
        if name not in sheet.columns:
            near = difflib.get_close_matches(name, list(sheet.columns), 1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise InvalidHistory(f"{sheet.source} has no column '{name}'; there are: {_shown(sheet.columns)}{hint}")


def _tables(sheet: Sheet, run: str, asked: Mapping[str, str]) -> list[Table]:
    form = recognised([*sheet.columns, *asked], sheet.form) or ANY
    games = _games(sheet, form, asked)
    shared = games.pop("", [])
    if not any(use.key.signal not in ORDERS for uses in games.values() for use in uses):
        if not any(use.key.signal not in ORDERS for use in shared):
            return []
        return [_table(sheet, form, run, shared)]
    named = {game: [*shared, *uses] for game, uses in games.items()}
    return [_table(sheet, form, " ".join(filter(None, (run, game))), uses) for game, uses in named.items()]


def _games(sheet: Sheet, form: Format, asked: Mapping[str, str]) -> dict[str, list[_Use]]:
    """The columns that hold a signal, by the game that they belong to; those of all games under no name."""
    said = {name: Key(signal=signal) for signal, name in asked.items()}
    games: dict[str, list[_Use]] = {}
    for name in sheet.columns:
        game, base = form.game_of(name)
        if name in said:
            games.setdefault(game, []).append(_Use(name, said[name], listed=True))
        elif (key := form.key_of(base)) is not None and key.signal not in asked:
            games.setdefault(game, []).append(_Use(name, key, listed=form.listed(base) is not None))
    if not any(use.key.signal not in ORDERS for uses in games.values() for use in uses):
        games.setdefault("", []).extend(_bare(sheet))
    if set(games) == {""}:
        games = _by_prefix(games[""])
    return games


def _bare(sheet: Sheet) -> list[_Use]:
    """`D` and `G` as losses, where there are both and no more is known."""
    found = {name.strip().lower(): name for name in sheet.columns}
    if not BARE.keys() <= found.keys():
        return []
    said = "'{}' was taken for {}; say what it is with --column otherwise"
    return [
        _Use(found[letter], Key(signal=signal, said=said.format(found[letter], signal)), listed=False)
        for letter, signal in BARE.items()
    ]


def _by_prefix(uses: list[_Use]) -> dict[str, list[_Use]]:
    """Columns that hold the same signals under different prefixes, as games of their own."""
    signals = [use.key.signal for use in uses if use.key.signal not in ORDERS and not use.listed]
    if len(signals) == len(set(signals)):
        return {"": uses}
    games: dict[str, list[_Use]] = {}
    for use in uses:
        found = PREFIX.match(use.name)
        games.setdefault(found["game"] if found else "", []).append(use)
    held = [[use.key.signal for use in part] for part in games.values()]
    values = [[signal for signal in part if signal not in ORDERS] for part in held]
    if sum(bool(part) for part in values) < 2 or any(len(part) != len(set(part)) for part in values):
        return {"": uses}
    return games


# --- tables -----------------------------------------------------------------------------------------------------


def _table(sheet: Sheet, form: Format, run: str, uses: Sequence[_Use]) -> Table:
    chosen = _chosen(sheet, uses)
    notes = [*sheet.notes]
    if form.name:
        notes.append(f"read as a log of {form.name}")
    columns = {signal: _column(sheet, use, notes) for signal, use in chosen.items()}
    used = {use.name for use in chosen.values()}
    left_out = tuple(name for name in (*sheet.columns, *sheet.unread) if name not in used)
    table = Table(
        source=sheet.source,
        columns=columns,
        left_out=left_out,
        lines=sheet.lines,
        place=sheet.place,
        name=run,
        format=form.name,
        d_loss=form.d_loss if D_LOSS in chosen and chosen[D_LOSS].listed else None,
        objectives=form.objectives,
        row_span=form.row_span,
        batch_size=sheet.batch_size,
        notes=(*notes, *form.notes),
    )
    table = rows_by_step(table) if sheet.merged else one_start(complete_rows(table, printed=sheet.printed))
    if not len(table):
        raise InvalidHistory(f"{sheet.source} holds names of columns and no values; log at least one step")
    return counted(table, sheet.totals, lists=sheet.form == "lists")


def _chosen(sheet: Sheet, uses: Sequence[_Use]) -> dict[str, _Use]:
    """Signal → the column that holds it: what a format lists comes before what a name says."""
    chosen: dict[str, _Use] = {}
    for use in sorted(uses, key=lambda use: not use.listed):
        signal, before = use.key.signal, chosen.get(use.key.signal)
        if before is None:
            chosen[signal] = use
        elif signal not in ORDERS and before.listed == use.listed and not _equal(sheet, before, use):
            raise InvalidHistory(
                f"{sheet.source}: the columns '{before.name}' and '{use.name}' are both {signal}; leave one of them "
                f"out, or say which: --column {signal}='{use.name}'"
            )
    return chosen


def _equal(sheet: Sheet, one: _Use, other: _Use) -> bool:
    first, second = sheet.columns[one.name], sheet.columns[other.name]
    return np.array_equal(first.numbers, second.numbers, equal_nan=True) and one.key == other.key


def _column(sheet: Sheet, use: _Use, notes: list[str]) -> Column:
    raw, key = sheet.columns[use.name], use.key
    if raw.bad is not None and not sheet.printed:
        raise InvalidHistory(
            f"{sheet.source}, {sheet.place} {raw.bad[0]}, column '{use.name}': {raw.bad[1][:40]!r} is no number; "
            "write nan where the number was none, or leave the line out"
        )
    scale = key.scale * (0.01 if raw.percent and key.signal in SHARES else 1.0)
    if key.said:
        notes.append(key.said if key.said.startswith("'") else f"'{use.name}': {key.said}")
    elif scale != 1.0:
        notes.append(f"'{use.name}' is printed in percent; read as shares of 1")
    plain = scale == 1.0 and key.offset == 0.0
    return Column(
        name=use.name,
        values=raw.numbers if plain else scale * raw.numbers + key.offset,
        given=raw.given,
        decimals=None if raw.digits is None else raw.digits.decimals,
        significant=None if raw.digits is None else raw.digits.significant,
        factor=scale,
    )


# --- several runs, and values under tags -----------------------------------------------------------------------


def _pivoted(sheet: Sheet) -> Sheet:
    """A sheet with a row a value, under tags, as a column for each tag."""
    tag = next((name for name in sheet.labels if name.strip().lower() in TAG_LABELS), None)
    value = next((name for name in sheet.columns if name.strip().lower() in ("value", "metric_value")), None)
    if tag is None or value is None:
        return sheet
    texts, raw = np.array(sheet.labels[tag]), sheet.columns[value]
    columns = {name: column for name, column in sheet.columns.items() if name not in (tag, value)}
    for name in dict.fromkeys(sheet.labels[tag]):
        columns[name] = RawColumn(
            numbers=np.where(texts == name, raw.numbers, np.nan),
            given=raw.given & (texts == name),
            digits=raw.digits,
            bad=raw.bad,
        )
    labels = {name: held for name, held in sheet.labels.items() if name != tag}
    return replace(sheet, columns=columns, labels=labels, printed=True)


def _runs(sheet: Sheet) -> list[tuple[str, Sheet]]:
    """The rows of each run, where a column of texts names them."""
    label = next((name for name in sheet.labels if name.strip().lower() in RUN_LABELS), None)
    runs = list(dict.fromkeys(sheet.labels[label])) if label is not None else []
    bare = replace(sheet, columns={n: c for n, c in sheet.columns.items() if n not in sheet.labels}, labels={})
    if label is None or len(runs) < 2:
        return [("", bare)]
    texts = np.array(sheet.labels[label])
    return [(run, bare.take(texts == run)) for run in runs]


# --- what is said of a log that nobody knows ------------------------------------------------------------------


def _nothing_known(sheet: Sheet) -> str:
    if series.is_single(sheet):
        tag = next(name for name in sheet.columns if name != "step")
        return (
            f"{sheet.source} holds one metric, and the name '{tag}' says not which: is it the discriminator's loss or "
            f"the generator's? Say --column d_loss='{tag}' or --column g_loss='{tag}', and give the file of the other "
            "one beside it"
        )
    if not sheet.columns:
        seen = "; ".join(f"`{shape}`" for shape in sheet.seen[:3]) or "none"
        said = f"{sheet.source} has no line with a number under a name that is known; its lines look like {seen}"
        return f"{said}. Print lines as `step=100 d_loss=0.69 g_loss=0.70`; `ganclinic formats` lists what is read"
    said = f"{sheet.source}: no column has a name that is known; there are: {_shown(sheet.columns)}. "
    near = nearest_format(list(sheet.columns))
    if near is not None:
        said += f"The nearest known format is that of {near.name}, with {', '.join(near.needs)}. "
    return said + (
        "Name them as d_loss_real, d_loss_fake (or d_loss), g_loss, d_acc_real, d_acc_fake, or say which they are: "
        "--column d_loss=NAME --column g_loss=NAME; `ganclinic formats` lists what is read"
    )


def _shown(names: Mapping[str, object]) -> str:
    shown = ", ".join(f"'{name[:40]}'" for name in list(names)[:SHOWN]) or "none"
    more = len(names) - SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def nearest_format(names: Sequence[str]) -> Format | None:
    """The format whose names are most like these; None where none is."""

    def likeness(form: Format) -> float:
        best = [max((_ratio(need, name) for name in names), default=0.0) for need in form.needs]
        return sum(best) / len(best) if best else 0.0

    best = max(FORMATS, key=likeness, default=None)
    return best if best is not None and likeness(best) >= 0.7 else None


def _ratio(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one.lower(), other.lower()).ratio()
