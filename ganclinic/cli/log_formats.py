"""`ganclinic formats`: whose logs are read."""

import argparse

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from ganclinic.cli.output import Output
from ganclinic.cli.tables import fields
from ganlib.foreign_logs.formats.registry import FORMATS
from ganlib.foreign_logs.reading.understand import KNOWN_SIGNALS

FORMS = (
    ("printed lines", "step=100 d_loss=0.69 g_loss=0.70, under any names that say what they are"),
    ("CSV, TSV, spaces", "a line with names of columns, then a row a line"),
    ("JSON lines, JSON", "an object a row, or one object with a list for each name"),
    (".npz", "an array for each name"),
    ("TensorBoard", "event files, their folders, and CSV files of one tag each"),
    ("W&B, MLflow, Lightning", "charts and histories that are exported, mlruns, metrics.csv"),
    ("folders", "the log that they hold; several runs are diagnosed each"),
    ("-", "standard input; files may be packed by gzip, and in UTF-8 or UTF-16"),
)


def formats(output: Output, options: argparse.Namespace) -> int:
    document = {
        "formats": [
            {"name": form.name, "where": form.where, "example": form.example, "needs": list(form.needs)}
            for form in FORMATS
        ],
        "forms": dict(FORMS),
        "signals": list(KNOWN_SIGNALS),
    }
    parts: list[RenderableType] = [Text("Trainers whose logs are known", style="bold")]
    for form in FORMATS:
        parts.append(Padding(Text(f"{form.name}: {form.where}"), (1, 0, 0, 2)))
        parts += [Padding(Text(line, style="dim"), (0, 0, 0, 4)) for line in form.example.splitlines()]
    parts += [Text("\nForms of any other log", style="bold"), Padding(fields(FORMS), (0, 0, 0, 2))]
    parts.append(Text(f"\nSignals for --column: {', '.join(KNOWN_SIGNALS)}"))
    output.result(document, Group(*parts))
    return 0
