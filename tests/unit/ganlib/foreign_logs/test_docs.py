"""docs/foreign-logs.md names every trainer whose log is read, and every signal."""

import re

from ganlib.foreign_logs.formats.registry import FORMATS
from ganlib.foreign_logs.reading.understand import KNOWN_SIGNALS
from tests.support.images import CHECKOUT

TEXT = (CHECKOUT / "docs" / "foreign-logs.md").read_text("utf-8")


def test_every_format_has_a_command() -> None:
    rows = "\n".join(line.split("|")[1] for line in TEXT.splitlines() if line.startswith("| "))
    assert [form.name for form in FORMATS if form.name not in rows] == []


def test_every_signal_is_named() -> None:
    assert set(KNOWN_SIGNALS) <= set(re.findall(r"`(\w+)`", TEXT))
