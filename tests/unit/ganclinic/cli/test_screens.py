"""What people see, on terminals of several widths."""

import io
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

from ganclinic.cli.bars import LiveBars, PlainLines, display_for
from ganclinic.cli.demo_table import demo_table, shown_path
from ganclinic.cli.output import Output
from ganclinic.cli.tables import comparison_details, labels_table, run_details, runs_table, verdict_block
from ganclinic.cli.words import age_words, duration_words, number_words, settings_words, share_words
from ganclinic.demo import DemoResult
from ganclinic.views import ComparisonView, LabelView, RunDetails, RunView
from ganlib.diagnosis.prescribe import REMEDIES
from ganlib.diagnosis.verdict import Episode, Evidence, Remedy
from ganlib.diagnosis.words import evidence_words
from ganlib.wire.reading import read
from tests.support.fake_service import COLLAPSE, DONE, EVALUATION, comparison_document, label_document, run_document

WIDTHS = (40, 60, 80, 100, 140)


def view(run_id: str = "00000000000000aa", **changes: object) -> RunView:
    return read(RunView, run_document(run_id, **changes))


def terminal(width: int) -> Console:
    return Console(
        file=io.StringIO(), width=width, force_terminal=True, color_system=None, highlight=False, markup=False
    )


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def drawn(renderable: RenderableType, width: int) -> list[str]:
    console = terminal(width)
    console.print(renderable)
    return written(console).splitlines()


def outcomes() -> Sequence[DemoResult]:
    folder = Path("/srv/.ganclinic/demo")
    done = DemoResult(
        run=view(**DONE),
        diagnosis=COLLAPSE,
        evaluation=EVALUATION,
        loss_figure=folder / "digit8-stable-losses.png",
        sample_grid=folder / "digit8-stable-samples.png",
    )
    failed = DemoResult(
        run=view("b", status="failed", error="no [data]"),
        diagnosis=None,
        evaluation=None,
        loss_figure=None,
        sample_grid=None,
    )
    return [done, failed]


@pytest.mark.parametrize("width", WIDTHS)
def test_the_demo_table_says_everything_at_every_width(width: int) -> None:
    lines = drawn(demo_table(outcomes(), width, Path("/srv")), width)
    assert all(len(line) <= width for line in lines)
    text = " ".join(" ".join(lines).split())
    for part in ("digit8-stable", "succeeded", "mode collapse", "severe", ".98 (null .08)", "no [data]"):
        assert part in text
    whole = "".join("".join(lines).split())
    assert ".ganclinic/demo/digit8-stable-losses.png" in whole
    assert "--setgenerator.latent_dim=50" in whole


def test_the_readme_shows_a_verdict_as_it_is_printed() -> None:
    readme = (Path(__file__).parents[4] / "README.md").read_text("utf-8")
    block = re.findall(r"^    (.*first seen in epoch 5\n(?:    .*\n)+)", readme, re.MULTILINE)[0]
    shown = Evidence(
        signal="nearest fake-fake distance / null",
        value=0.00541,
        threshold=0.25,
        comparison="<",
        first_epoch=10,
        last_epoch=10,
        source="-",
    )
    larger = Remedy(name="larger latent", reason=REMEDIES["larger latent"][0], patch={"generator.latent_dim": 50})
    finding = replace(COLLAPSE.findings[0], first_epoch=5, evidence=(shown,), remedies=(larger,))
    diagnosis = replace(COLLAPSE, findings=(finding,), reason=evidence_words(shown))
    lines = [line.rstrip() for line in drawn(verdict_block(view(**DONE), diagnosis, EVALUATION), 140)]
    said = [line.removeprefix("    ") for line in block.splitlines() if line.strip() != "…"]
    assert [line for line in lines if line in said] == said


@pytest.mark.parametrize(("shape", "words"), [([1, 28, 28], "pixels"), ([2], "coordinates")])
def test_a_comparison_of_points_is_made_by_their_coordinates(shape: list[int], words: str) -> None:
    shown = drawn(comparison_details(read(ComparisonView, comparison_document(shape=shape))), 80)
    assert ["space", words] in [line.split() for line in shown]


def test_evidence_that_is_no_number_says_so() -> None:
    blown = replace(COLLAPSE.findings[0].evidence[0], signal="largest loss or gradient", value=float("inf"))
    for value in (float("inf"), float("nan")):
        assert evidence_words(replace(blown, value=value)) == "largest loss or gradient not finite (epochs 8–10)"
    assert evidence_words(replace(blown, value=12345, threshold=10000, comparison=">=")).startswith(
        "largest loss or gradient 1.23e+04 >= 10000 ("
    )


@pytest.mark.parametrize("width", [60, 140])
def test_the_demo_table_names_what_is_mild_in_a_healthy_run(width: int) -> None:
    mild = replace(COLLAPSE.findings[0], name="slow convergence", severity="mild", first_epoch=10, remedies=())
    healthy = replace(COLLAPSE, verdict="healthy", severity="mild", findings=(mild,))
    seen = {"verdict": "healthy", "severity": "mild", "first_epoch_seen": 10}
    run = read(RunView, run_document(**DONE) | seen)
    outcome = replace(outcomes()[0], run=run, diagnosis=healthy)
    lines = [line.split() for line in drawn(demo_table([outcome], width, Path("/srv")), width)]
    if width == 140:
        assert ["digit8-stable", "succeeded", "healthy", "–", "–", ".98", "(null", ".08)"] in lines
    else:
        assert ["severity", "–"] in lines
    assert "finding slow convergence (mild), first seen in epoch 10" in " ".join(
        word for line in lines for word in line
    )
    row = outcome.to_json()
    assert (row["severity"], row["first_epoch_seen"]) == ("mild", 10)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_table_of_labels_says_everything_at_every_width(width: int) -> None:
    labels = [
        read(LabelView, label_document(note="all ten [digits]", epoch=3)),
        read(LabelView, label_document(finding="healthy", holds=True)),
    ]
    text = "".join("".join(drawn(labels_table(labels), 200)).split())
    assert "modecollapse:absent" in text
    assert "healthy:present" in text
    assert "allten[digits]" in text
    assert all(len(line) <= width for line in drawn(labels_table(labels), width))


@pytest.mark.parametrize("width", WIDTHS)
def test_the_table_of_runs_never_cuts_an_id_or_a_verdict(width: int) -> None:
    runs = [view(name="a [bold]name[/] that is rather long, isn't it?" * 2, **DONE), view("00000000000000bb")]
    lines = drawn(runs_table(runs, width), width)
    assert "00000000000000aa" in lines[1]
    assert "mode collapse" in lines[1]
    assert "a [bo" in lines[1]
    assert len(lines) == 3


@pytest.mark.parametrize("width", WIDTHS)
def test_a_bar_stays_on_one_line_and_leaves_room_for_ctrl_c(width: int) -> None:
    output = Output(results=terminal(width), notes=terminal(width))
    with LiveBars(output) as bars:
        bars.update([view(name="x" * 100, status="running", step=12, epochs_done=1, verdict="mode collapse")])
    text = re.sub(r"\x1b\[[?0-9]*[a-zA-Z]", "", written(output.notes))
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    assert all("x…" in line and "epoch 1/10" in line for line in lines)
    assert all(len(line) <= width - len("^C") for line in lines)


def test_where_runs_do_not_fit_the_trained_ones_are_shown_and_all_are_counted() -> None:
    console = Console(file=io.StringIO(), width=100, height=8, force_terminal=True, color_system=None)
    with LiveBars(Output(results=console, notes=console)) as bars:
        over = [view(f"over {i}", name=f"over {i}", **DONE) for i in range(20)]
        trained = [view(f"trained {i}", name=f"trained {i}", status="running") for i in range(2)]
        bars.update([*over, *trained])
    last = written(console).split("\x1b[1A")[-1]
    assert "trained 0" in last
    assert "trained 1" in last
    assert "20/22" in last
    assert len(last.strip().splitlines()) <= 8


def test_a_halted_run_shows_how_far_it_came_and_why() -> None:
    halted: dict[str, Any] = {**DONE, "status": "halted", "epochs_done": 4, "step": 120}
    output = Output(results=terminal(120), notes=terminal(120))
    with PlainLines(output) as lines:
        lines.update([view(**halted)])
    assert "epoch 4/10, halted: mode collapse" in written(output.notes)
    spec = {"diagnosis": {"halt_on": ["mode collapse", "divergence"]}}
    details = read(RunDetails, run_document(**halted) | {"spec": spec})
    shown = " ".join(" ".join(drawn(run_details(details, None, None), 120)).split())
    assert "halted after epoch 4 of 10, by diagnosis.halt_on (mode collapse, divergence)" in shown


def test_a_healthy_verdict_names_what_is_mild() -> None:
    mild = replace(COLLAPSE.findings[0], name="slow convergence", severity="mild", first_epoch=10)
    healthy = replace(COLLAPSE, verdict="healthy", severity="mild", findings=(mild,))
    [title, *_] = drawn(verdict_block(view(**DONE), healthy, EVALUATION), 100)
    assert title == "healthy; slow convergence, mild, first seen in epoch 10"


@pytest.mark.parametrize("width", WIDTHS)
def test_a_diagnosis_says_how_sure_it_is_what_to_look_at_and_what_is_over(width: int) -> None:
    finding = replace(COLLAPSE.findings[0], confidence=0.847, check="Look whether the samples of epoch 10 are alike.")
    episodes = (
        Episode(name="oscillation", severity="moderate", first_epoch=2, last_epoch=2),
        Episode(name="stalled", severity="mild", first_epoch=3, last_epoch=5),
    )
    diagnosis = replace(COLLAPSE, findings=(finding,), recovered=episodes)
    lines = drawn(verdict_block(view(**DONE), diagnosis, EVALUATION), width)
    assert all(len(line) <= width for line in lines)
    text = " ".join(" ".join(lines).split())
    for part in ("85 % that this is right", "oscillation (moderate), epoch 2", "stalled (mild), epochs 3–5"):
        assert part in text
    assert "Lookwhetherthesamplesofepoch10arealike." in "".join(text.split())


def test_a_final_bar_is_full_and_names_the_verdict() -> None:
    output = Output(results=terminal(120), notes=terminal(120))
    with LiveBars(output) as bars:
        bars.update([view()])
        bars.update([view(**DONE)])
    assert "epoch 10/10" in written(output.notes)
    assert "succeeded: mode collapse" in written(output.notes)


def test_plain_lines_are_written_only_when_something_changed() -> None:
    output = Output(results=terminal(80), notes=terminal(80))
    with PlainLines(output) as lines:
        for step in (1, 2, 3):
            lines.update([view(status="running", step=step)])
    assert written(output.notes).count("\n") == 1


def test_a_dumb_terminal_and_a_pipe_get_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = Console(file=io.StringIO())
    assert isinstance(display_for(Output(results=pipe, notes=pipe)), PlainLines)
    assert isinstance(display_for(Output(results=terminal(80), notes=terminal(80))), LiveBars)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(display_for(Output(results=terminal(80), notes=terminal(80))), PlainLines)


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    console = Console(file=io.StringIO(), force_terminal=True, width=120, color_system="standard")
    console.print(runs_table([view(**DONE)], 120))
    assert "\x1b[32m" not in written(console)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.6, "1 min"),
        (185, "3 min 5 s"),
        (7200, "2 h"),
        (7800, "2 h 10 min"),
        (90_000, "1 d 1 h"),
        (-3, "0 s"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration_words(seconds) == words


def test_ages_name_only_the_largest_unit() -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    assert age_words(now - timedelta(minutes=3, seconds=5), now) == "3 min ago"
    assert age_words(now + timedelta(seconds=2), now) == "0 s ago"


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0083, ".0083"), (1.0749, "1.07"), (-0.5, "-.5"), (10.0, "10"), (0, "0"), (float("nan"), "–")],
)
def test_numbers(value: float, words: str) -> None:
    assert number_words(value) == words


@pytest.mark.parametrize(("value", "words"), [(0.976, ".98"), (1.0, "1.00"), (0.0, ".00"), (None, "–")])
def test_shares(value: float | None, words: str) -> None:
    assert share_words(value) == words


def test_a_patch_becomes_options_that_a_shell_understands() -> None:
    patch = {"dataset.name": "mnist-5k", "dataset.classes": [8], "generator.norm": {"kind": "none"}}
    assert settings_words(patch) == (
        "--set dataset.name=mnist-5k --set 'dataset.classes=[8]' --set 'generator.norm={\"kind\": \"none\"}'"
    )


def test_paths_are_shown_relative_only_below_the_current_directory() -> None:
    assert shown_path(Path("/srv/a/b"), Path("/srv")) == "a/b"
    assert shown_path(Path("/other/b"), Path("/srv")) == "/other/b"
