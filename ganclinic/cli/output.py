"""What the command line writes: results to stdout, notes and bars to stderr."""

import json
import sys
from dataclasses import dataclass
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.text import Text

UNLIMITED_WIDTH = 10_000  # into a pipe or a file nothing is cut off


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where results and notes go, and whether results are JSON."""

    results: Console
    notes: Console
    as_json: bool = False

    @classmethod
    def standard(cls, *, as_json: bool = False) -> "Output":
        """To the standard streams. Rich looks at NO_COLOR and TERM."""
        return cls(results=_console(sys.stdout), notes=_console(sys.stderr), as_json=as_json)

    @property
    def is_live(self) -> bool:
        """Whether notes go to a terminal that can move its cursor."""
        return self.notes.is_terminal and not self.notes.is_dumb_terminal

    def result(self, document: Any, for_people: RenderableType) -> None:
        """One result, as JSON where that was asked for."""
        if self.as_json:
            self.json(document)
        else:
            self.show(for_people)

    def show(self, for_people: RenderableType) -> None:
        """A result for people; into a pipe or a file without the spaces that fill up lines."""
        if self.results.is_terminal:
            self.results.print(for_people)
            return
        with self.results.capture() as captured:
            self.results.print(for_people)
        self.results.file.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())

    def json(self, document: Any) -> None:
        """One JSON document on standard output; non-finite numbers are refused."""
        self.results.file.write(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def note(self, text: str, style: str = "") -> None:
        """A line for the person who watches; scripts need not read it."""
        self.notes.print(Text(text, style=style), soft_wrap=True)

    def error(self, text: str) -> None:
        """Why nothing came of it, on standard error."""
        self.notes.print(Text.assemble(("error: ", "bold red"), text), soft_wrap=True)


def _console(stream: TextIO) -> Console:
    """Numbers and paths are not coloured by guess, and brackets in names are no markup."""
    width = None if stream.isatty() else UNLIMITED_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)
