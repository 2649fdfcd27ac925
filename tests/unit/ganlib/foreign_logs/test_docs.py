"""docs/foreign-logs.md names every trainer whose log is read, and every signal."""

import re
import subprocess

import pytest

from ganlib.foreign_logs.formats.registry import FORMATS
from ganlib.foreign_logs.reading.understand import KNOWN_SIGNALS
from tests.support.images import CHECKOUT

TEXT = (CHECKOUT / "docs" / "foreign-logs.md").read_text("utf-8")


def test_every_format_has_a_command() -> None:
    rows = "\n".join(line.split("|")[1] for line in TEXT.splitlines() if line.startswith("| "))
    assert [form.name for form in FORMATS if form.name not in rows] == []


def test_what_each_trainer_minimises_by_default_is_that_of_its_format() -> None:
    table = TEXT.partition("## What a trainer minimises")[2].partition("\n## ")[0]
    rows = [row.strip("| ").split(" | ") for row in table.splitlines() if row.startswith("| ")][1:]
    named = {trainer: default for trainers, default in rows for trainer in trainers.split("; ")}
    assert {form.name: " or ".join(form.objectives) for form in FORMATS if form.objectives} == named


def test_every_signal_is_named() -> None:
    assert set(KNOWN_SIGNALS) <= set(re.findall(r"`(\w+)`", TEXT))


@pytest.mark.parametrize(("status", "killed"), [(0, False), (1, True), (2, False)])
def test_the_script_of_the_docs_ends_a_training_only_where_one_fails(status: int, killed: bool) -> None:
    script = TEXT.partition("## Logs that grow")[2].partition("```sh\n")[2].partition("```")[0]
    stubs = f"ganclinic() {{ return {status}; }}\nkill() {{ echo killed; }}\nTRAINER=1\n"
    done = subprocess.run(["sh", "-c", stubs + script], capture_output=True, text=True, check=False)
    assert (done.stdout == "killed\n") == killed
