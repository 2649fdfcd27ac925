"""Lines that a trainer prints: names and numbers among words, bars, dates and warnings.

The first line of a shape is looked at closely, and made a pattern; lines that fit a pattern cost one match each. So a
log may change its shape, hold lines of other programs, or have several shapes in turn.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from ganlib.foreign_logs.column_names import EPOCH, ORDERS, STEP, signal_of
from ganlib.foreign_logs.formats.registry import KNOWN_KEYS
from ganlib.foreign_logs.reading.asides import Asides, is_value, says_aside
from ganlib.foreign_logs.reading.numbers import NUMBER
from ganlib.foreign_logs.reading.sheet import Sheet, SheetBuilder, joined_words

TOKEN = re.compile(rf"(?<![\w.])({NUMBER})")
CLOCK = re.compile(r"(?<![\w.])\d+[:-]$|\dT$")
"""What comes before a number that is part of a time or a date."""
ASSIGNED = re.compile(r"""([^\[\]|,;{}<>=:\t]*?)["']?\s*(?::|=|->|:=)+\s*[\[({"']*\s*$""")
COUNTED = re.compile(r"\b(epochs?|ep|steps?|iters?|iterations?|batch|it|n_iter|global[ _]step)\b[\s\[(#:=.]*$", re.I)
BEFORE_WORDS = re.compile(r".*(?:\s\s|\s-+\s|--|>|…|\.\.\.)", re.DOTALL)
NOT_TRAINING = re.compile(r"(?<![a-z])(?:val|valid|validation|test|eval|evaluation|std|min|max|best)(?![a-z])", re.I)
FRACTION = re.compile(r"\s*(?:/|\bof\b)\s*")
BAR = re.compile(r"(?<=%)\s?\|[^|]*\||\[[=>.\-#\s]{5,}\]|[━╸╺─█▉▊▋▌▍▎▏░▒]+")
ARGUMENTS = r"(?:,[^()]*(?:\([^()]*\))?[^()]*)?"
TENSOR = re.compile(rf"(?:tensor|array|(?:np|numpy)\.float\d+)\(\[?\s*({NUMBER})\s*\]?{ARGUMENTS}\)")
TF_TENSOR = re.compile(r"<tf\.Tensor:[^>]*numpy=\[?(" + NUMBER + r")\]?[^>]*>")
RANK = re.compile(r"^\s*\[?(?:rank|default|gpu|worker|proc|process)[ _=:]?(\d+)\]?\s*[:|>]?\s*", re.I)
FAST_NUMBER = rf"(?:[-+]?\d+\.\d+(?![\d.,eE])|{NUMBER})"
"""The same; the most usual form first."""
BLOCK_LINES = 4096
MAX_PATTERNS = 24
MAX_LINE = 20_000
MAX_SEEN = 5


@dataclass(slots=True)
class _Pattern:
    """Lines of one shape, and where their numbers go."""

    whole: re.Pattern[str]
    """Of one line."""
    each: re.Pattern[str]
    """Of each of many lines."""
    names: tuple[str, ...]
    percent: frozenset[str] = frozenset()
    is_aside: bool = False
    """Whether they are of a validation or a test."""
    totals: Mapping[str, int] = field(default_factory=dict[str, int])
    """What counts count to, by their names."""


@dataclass(frozen=True, slots=True)
class _Token:
    """A number of a line, and what is known of it."""

    text: str
    start: int
    end: int
    name: str | None = None
    percent: bool = False


@dataclass(slots=True)
class _Counts:
    """What lines there were."""

    others: int = 0
    of_ranks: int = 0
    asides: Asides = field(default_factory=Asides)
    shapes: dict[str, int] = field(default_factory=dict[str, int])


def read_printed(source: str, text: str) -> Sheet:
    """A row for each line that holds a number under a name; all else is counted and left out.

    Lines of a validation or a test are left out where there are others; they may be all that there is.
    """
    found, asides = _read(source, text, with_asides=False)
    known = {name for name in (*found.columns, *asides) if _is_known(name) and is_value(name)}
    if known <= asides - found.columns.keys() and asides:
        found, _ = _read(source, text, with_asides=True)
    return found


def _read(source: str, text: str, *, with_asides: bool) -> tuple[Sheet, set[str]]:
    """The rows, and the names in lines of a validation or a test that are none of them."""
    builder, counts = SheetBuilder(source), _Counts()
    patterns: list[_Pattern] = []
    totals: dict[str, int] = {}
    for numbers, lines in _blocks(text, counts):
        if patterns and not patterns[0].is_aside and (rows := _all_rows(patterns[0], lines)) is not None:
            builder.part(patterns[0].names).add_block(numbers, rows)
            counts.asides.end_heading()
            continue
        for number, line in zip(numbers, lines, strict=True):
            found = _match(line, patterns, builder, counts)
            if found is None:
                continue
            pattern = patterns[0]
            if with_asides or not counts.asides.takes(pattern.names, says_so=pattern.is_aside):
                builder.part(pattern.names).add(number, found)
                totals |= pattern.totals
    columns, places = builder.columns()
    sheet = Sheet(
        source=source,
        columns=columns,
        lines=places,
        form="printed lines",
        seen=tuple(counts.shapes),
        notes=tuple(_notes(counts)),
        printed=True,
        totals=totals,
    )
    return sheet, counts.asides.names


def _all_rows(pattern: _Pattern, lines: Sequence[str]) -> list[tuple[str, ...]] | None:
    """The numbers of lines that all have this shape; None where one has not."""
    found: list[Any] = pattern.each.findall("\n".join(lines))
    if len(found) != len(lines):
        return None
    return found if len(pattern.names) > 1 else [(number,) for number in found]


def _match(line: str, patterns: list[_Pattern], builder: SheetBuilder, counts: _Counts) -> Sequence[str | None] | None:
    """The numbers of a line, by the pattern that is first then; None where it holds none under a name."""
    for at, pattern in enumerate(patterns):
        found = pattern.whole.fullmatch(line)
        if found is not None:
            if at:
                patterns.insert(0, patterns.pop(at))
            return found.groups()
    pattern = _learnt(line)
    found = pattern.whole.fullmatch(line) if pattern is not None else None
    if pattern is None or found is None:
        _count_other(line, counts)
        return None
    patterns.insert(0, pattern)
    del patterns[MAX_PATTERNS:]
    builder.percent |= pattern.percent
    return found.groups()


def _notes(counts: _Counts) -> Iterator[str]:
    if counts.others:
        yield f"{counts.others:,} lines hold no number under a name and were left out"
    if counts.of_ranks:
        yield f"{counts.of_ranks:,} lines of other ranks were left out; those of the first were read"
    if counts.asides.count:
        yield f"{counts.asides.count:,} lines of a validation or a test were left out"


def _count_other(line: str, counts: _Counts) -> None:
    if not line.strip():
        return
    counts.asides.pass_over(line)
    counts.others += 1
    if len(counts.shapes) < MAX_SEEN:
        counts.shapes.setdefault(shape_of(line), 0)


def shape_of(line: str) -> str:
    """The line with # in place of each number: what is told of lines that nobody knows."""
    return TOKEN.sub("#", joined_words(line))[:100]


# --- lines ------------------------------------------------------------------------------------------------------


def _blocks(text: str, counts: _Counts) -> Iterator[tuple[Sequence[int], list[str]]]:
    """Lines with their numbers, many at once; what bars overwrite as lines of their own."""
    lines = text.split("\n")
    clean = _Cleaner(text, counts)
    for start in range(0, len(lines), BLOCK_LINES):
        block = lines[start : start + BLOCK_LINES]
        if clean.is_needless:
            yield range(start + 1, start + 1 + len(block)), block
            continue
        pairs = [(number, part) for number, line in enumerate(block, start + 1) for part in clean(line)]
        yield [number for number, _ in pairs], [part for _, part in pairs]


class _Cleaner:
    """Takes bars, tensors and the marks of ranks out of lines."""

    def __init__(self, text: str, counts: _Counts) -> None:
        self.counts = counts
        self.returns = "\r" in text or "\x08" in text
        self.bars = any(mark in text for mark in ("%|", "[=", "...]", "━", "█", "░"))
        self.tensors = any(mark in text for mark in ("tensor(", "array(", "tf.Tensor", "float32(", "float64("))
        self.ranks = _ranks(text)
        self.is_needless = not (self.returns or self.bars or self.tensors or self.ranks)

    def __call__(self, whole: str) -> Iterator[str]:
        """The lines that a line holds: a bar is written over itself."""
        for part in re.split(r"[\r\x08]+", whole) if self.returns else (whole,):
            line = part
            if self.ranks and (found := RANK.match(line)):
                if int(found[1]) != min(self.ranks):
                    self.counts.of_ranks += 1
                    continue
                line = line[found.end() :]
            if self.bars:
                line = BAR.sub(" ", line)
            if self.tensors:
                line = TF_TENSOR.sub(r"\1", TENSOR.sub(r"\1", line))
            yield line


def _ranks(text: str) -> set[int]:
    """Numbers of processes that lines begin with."""
    if not re.search("rank|default|gpu|worker|proc", text[:200_000], re.I):
        return set()
    starts = (RANK.match(line) for line in text[:2_000_000].split("\n"))
    return {int(found[1]) for found in starts if found}


# --- patterns ---------------------------------------------------------------------------------------------------


def _learnt(line: str) -> _Pattern | None:
    """The pattern of lines as this one; None where it has no number under a name."""
    if len(line) > MAX_LINE:
        return None
    tokens = _named(line)
    if not any(token.name for token in tokens):
        return None
    parts: list[str] = []
    names: list[str] = []
    at = 0
    for token in tokens:
        parts.append(_literal(line[at : token.start]))
        parts.append(f"({FAST_NUMBER})" if token.name else f"(?:{FAST_NUMBER})")
        if token.name:
            names.append(token.name)
        at = token.end
    parts.append(_literal(line[at:].rstrip()))
    shape = "".join(parts) + r"[ \t\f]*"
    percent = frozenset(token.name for token in tokens if token.percent and token.name)
    return _Pattern(
        re.compile(shape),
        re.compile(f"^{shape}$", re.MULTILINE),
        tuple(names),
        percent,
        is_aside=says_aside(line[: next((t.start for t in tokens if t.name and is_value(t.name)), 0)]),
        totals=_totals(line, tokens),
    )


def _totals(line: str, tokens: Sequence[_Token]) -> dict[str, int]:
    """What each count counts to: of `[1280/60000]` it is 60,000."""
    found: dict[str, int] = {}
    for token, after in pairwise(tokens):
        between = line[token.end : after.start]
        if token.name and FRACTION.fullmatch(between) and after.text.isdecimal():
            found[token.name] = int(after.text)
    return found


def _literal(text: str) -> str:
    """A pattern of the text, with as much white space as there happens to be."""
    return r"[ \t\f]*".join(re.escape(part) for part in re.split(r"\s+", text)) if text else ""


def _named(line: str) -> list[_Token]:
    """The numbers of a line, those under a name with it."""
    tokens: list[_Token] = []
    last: _Token | None = None
    unnamed_fractions: list[int] = []
    for found in TOKEN.finditer(line):
        between = line[last.end if last else 0 : found.start()]
        name = None
        if last is not None and FRACTION.fullmatch(between):
            name = _second_name(last)
        elif not _is_of_clock(line, found.start(), found.end()):
            name = _name_before(between, at_start=last is None)
            if name is None and _begins_fraction(line, found.end()):
                unnamed_fractions.append(len(tokens))
        percent = line[found.end() :].lstrip().startswith("%")
        last = _Token(found[1], found.start(), found.end(), name, percent and name is not None)
        tokens.append(last)
    _name_fractions(tokens, unnamed_fractions, line)
    return _numbered(tokens)


def _numbered(tokens: Sequence[_Token]) -> list[_Token]:
    """A name that comes again in a line with its number: `acc` of the discriminator, and `acc (2)` of the generator."""
    counts: dict[str, int] = {}
    found: list[_Token] = []
    for token in tokens:
        if token.name is not None:
            counts[token.name] = counts.get(token.name, 0) + 1
            if counts[token.name] > 1:
                token = replace(token, name=f"{token.name} ({counts[token.name]})")
        found.append(token)
    return found


def _is_of_clock(line: str, start: int, end: int) -> bool:
    """Whether the number is an hour, a day, or another part of a time or a date."""
    after = line[end : end + 2]
    if len(after) == 2 and after[0] in ":-" and after[1].isdigit():
        return True
    return CLOCK.search(line[max(0, start - 20) : start]) is not None


def _begins_fraction(line: str, end: int) -> bool:
    return re.match(r"\s*/\s*\d+(?![\d./]|\s*%)", line[end:]) is not None


def _second_name(first: _Token) -> str | None:
    """What comes behind a slash: the whole that is counted to, or a second number of the same thing."""
    if first.name is None or signal_of(first.name) in ORDERS:
        return None
    return f"{first.name} / 2"


def _name_fractions(tokens: list[_Token], fractions: Sequence[int], line: str) -> None:
    """`[3/25][100/782]` counts epochs and steps; one of them alone what no other name counts."""
    counted = {signal_of(token.name) for token in tokens if token.name}
    free = [name for name, signal in (("epoch", EPOCH), ("batch", STEP)) if signal not in counted]
    if len(fractions) == 1 and EPOCH not in counted:
        free = [name for name in free if name != "epoch"]
    for at, name in zip(fractions, free, strict=False):
        token = tokens[at]
        tokens[at] = replace(token, name=name)
    if not fractions and tokens and STEP not in counted:
        _name_first(tokens, line)


def _name_first(tokens: list[_Token], line: str) -> None:
    """`0 [D loss: …` and `[100] d_loss: …`: a whole number that a line begins with counts steps."""
    first = tokens[0]
    behind = line[first.end :]
    if (
        first.name is None
        and first.text.isdecimal()
        and re.fullmatch(r"\s*[\[(#]?\s*", line[: first.start])
        and re.match(r"\s*(?:[\]):|,\[]|\s[A-Za-z\[(])", behind)
        and not re.match(r"[:\-/]\d", behind)
        and any(token.name for token in tokens)
    ):
        tokens[0] = replace(first, name="step")


def _name_before(text: str, *, at_start: bool) -> str | None:
    """The name that a number after this text has."""
    assigned = ASSIGNED.search(text)
    if assigned is not None:
        return _key(assigned[1])
    counted = COUNTED.search(text)
    if counted is not None:
        return counted[1]
    words = _key(re.split(r"[\[\]|,;{}<>=:\t]", text)[-1])
    return words if words is not None and _is_known(words) else None


def _key(text: str) -> str | None:
    """The name that the text ends in: of several words the longest end that is known, else all of them."""
    text = BEFORE_WORDS.sub("", text).strip(" '\"*-")
    while text.startswith(")") or text.count(")") > text.count("("):
        text = text.partition(")")[2].lstrip()
    if text.count("(") > text.count(")"):
        text = text[text.rindex("(") + 1 :].strip()
    if NOT_TRAINING.search(text) and not _is_known(text):
        return text or None
    words = text.split()
    for at in range(len(words)):
        if _is_known(end := " ".join(words[at:])):
            return end
    return text[-60:] or None if any(letter.isalpha() for letter in text) else None


def _is_known(name: str) -> bool:
    return name in KNOWN_KEYS or signal_of(name) is not None
