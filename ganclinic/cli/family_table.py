"""The table of a family: a line a run, children below their parent and indented."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ganclinic.cli.words import NONE, STATUS_STYLES, settings_words, verdict_text
from ganclinic.views import MemberView

WIDE = 120
"""Columns from which on there is room for what remedies changed."""
MEDIUM = 90
GAP = 2


def family_table(members: Sequence[MemberView], width: int) -> RenderableType:
    """Which remedy led to which verdict; a narrow terminal sees fewer columns, and always whole ids."""
    heads = ["run", "remedy", "verdict"]
    if width >= MEDIUM:
        heads = ["run", "remedy", "status", "epoch", "verdict", "severity", "seed"]
    if width >= WIDE:
        heads.append("change")
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0))
    for head in heads:
        table.add_column(head, no_wrap=head == "run", justify="right" if head in {"epoch", "seed"} else "left")
    for member in members:
        cells = _cells(member)
        table.add_row(*(cells[head] for head in heads))
    return table


def _cells(member: MemberView) -> dict[str, Text]:
    is_over = member.status in {"succeeded", "halted"}
    status = Text(member.status, style=STATUS_STYLES.get(member.status, ""))
    return {
        "run": Text("  " * member.depth + member.id),
        "remedy": Text(member.remedy or NONE),
        "status": status,
        "epoch": Text(f"{member.epochs_done}/{member.epochs_total}"),
        "verdict": verdict_text(member.verdict) if is_over or member.verdict else status,
        "severity": Text(member.severity or NONE),
        "seed": Text(str(member.seed)),
        "change": Text(settings_words(member.patch) if member.patch else NONE),
    }
