"""Progress of runs: live bars on a terminal, plain lines elsewhere."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from typing_extensions import override

from ganclinic.cli.output import Output
from ganclinic.cli.words import shortened
from ganclinic.views import RunView

LONGEST_LABEL = 28
LABEL_SHARE = 3
"""A label may take the third part of the terminal."""
BAR_FROM = 60
"""Columns from which on there is room for the bar itself."""
TIMES_FROM = 90
SPARE_LINES = 3
"""For the line that counts, the command above and the cursor below."""


class Display(Protocol):
    """Shows how runs go on."""

    def __enter__(self) -> Self:
        """Starts to show."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves the last state on the screen."""
        ...

    def update(self, runs: Sequence[RunView]) -> None:
        """Shows their state now."""
        ...


def display_for(output: Output) -> Display:
    """Bars where they can be redrawn, else lines."""
    return LiveBars(output) if output.is_live else PlainLines(output)


class _Bars(Progress):
    """Leaves the last columns free: the terminal's own ^C would break a full line in two."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield _Narrower(self.make_tasks_table(self.tasks))


@dataclass(frozen=True, slots=True)
class _Narrower:
    bars: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from console.render(self.bars, options.update_width(max(1, options.max_width - len("^C") - 1)))


class LiveBars(Display):
    """A bar for each run, with its epoch and its verdict so far.

    Where there are more runs than lines, those that are trained come first, and a last line counts them all.
    """

    def __init__(self, output: Output) -> None:
        self._width = output.notes.width
        self._lines = max(1, output.notes.height - SPARE_LINES)
        self._progress = _Bars(*_columns(self._width), console=output.notes, expand=self._width >= BAR_FROM)
        self._tasks: dict[str, TaskID] = {}
        self._seen: dict[str, RunView] = {}

    @override
    def __enter__(self) -> Self:
        self._progress.start()
        return self

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    @override
    def update(self, runs: Sequence[RunView]) -> None:
        for run in runs:
            if self._seen.get(run.id) != run:
                self._seen[run.id] = run
                self._draw(run)
        if len(runs) > self._lines:
            self._choose(runs)

    def _draw(self, run: RunView) -> None:
        if run.id not in self._tasks:
            self._tasks[run.id] = self._add(run.label, run.steps_total, epoch=_epoch(run), state=_state(run))
        task = self._tasks[run.id]
        if run.status != "queued":
            self._progress.start_task(task)  # a second start changes nothing
        self._progress.update(task, completed=_completed(run), epoch=_epoch(run), state=_state(run))
        if run.is_final:
            self._progress.stop_task(task)

    def _choose(self, runs: Sequence[RunView]) -> None:
        """Hides the bars that do not fit, and counts the runs that are over."""
        chosen = {run.id for run in sorted(runs, key=_rank)[: self._lines]}
        for run in runs:
            self._progress.update(self._tasks[run.id], visible=run.id in chosen)
        if "" not in self._tasks:
            self._tasks[""] = self._add("all runs", len(runs), epoch="", state="over")
            self._progress.start_task(self._tasks[""])
        over = sum(run.is_final for run in runs)
        self._progress.update(self._tasks[""], completed=over, epoch=f"{over}/{len(runs)}")

    def _add(self, label: str, total: int, *, epoch: str, state: str) -> TaskID:
        label = shortened(label, min(LONGEST_LABEL, self._width // LABEL_SHARE))
        return self._progress.add_task(label, start=False, total=total, epoch=epoch, state=state)


class PlainLines(Display):
    """A line whenever a run's epoch, status or verdict changes."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._last: dict[str, str] = {}

    @override
    def __enter__(self) -> Self:
        return self

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to end."""

    @override
    def update(self, runs: Sequence[RunView]) -> None:
        for run in runs:
            line = f"{run.label} [{run.id}]: {_plain_state(run)}"
            if self._last.get(run.id) != line:
                self._last[run.id] = line
                self._output.note(line)


def _columns(width: int) -> Sequence[ProgressColumn]:
    label = TextColumn("{task.description}", markup=False)
    epoch = TextColumn("{task.fields[epoch]}", justify="right", markup=False)
    state = TextColumn("{task.fields[state]}", markup=False)
    bar = BarColumn(bar_width=None)
    if width < BAR_FROM:
        return (label, epoch, state)
    if width < TIMES_FROM:
        return (label, bar, epoch, state)
    return (label, bar, epoch, TimeElapsedColumn(), TimeRemainingColumn(compact=True), state)


def _rank(run: RunView) -> int:
    """Trained before queued before over."""
    return 0 if run.status == "running" else 2 if run.is_final else 1


def _completed(run: RunView) -> int:
    return run.steps_total if run.status == "succeeded" else run.steps_done


def _epoch(run: RunView) -> str:
    return f"epoch {run.epochs_done}/{run.epochs_total}"


def _state(run: RunView) -> str:
    """The verdict so far while it runs, with the status otherwise."""
    if run.status == "running":
        return run.verdict or ("training" if run.steps_done else "starting")
    return f"{run.status}: {run.verdict}" if run.status in {"succeeded", "halted"} and run.verdict else run.status


def _plain_state(run: RunView) -> str:
    return run.status if run.status == "queued" else f"{_epoch(run)}, {_state(run)}"
