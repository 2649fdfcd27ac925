"""Where the command line begins.

What `--help` and mistakes in the options do not need is imported after them: it takes several times as long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganclinic.cli.parser import make_parser

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ganclinic.client import Client
    from ganclinic.config import ConfigSources


def main(
    argv: Sequence[str] | None = None,
    *,
    around: ConfigSources | None = None,
    connect: Callable[[str, str | None], Client] | None = None,
) -> int:
    """Runs one command; returns its exit status. `around` and `connect` are for tests."""
    options = make_parser().parse_args(argv)
    from ganclinic.cli.dispatch import run_verb

    return run_verb(options, around, connect)
