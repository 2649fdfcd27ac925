"""A trainer's side of a watched run. Needs no torch, never raises in a training loop, and never makes it wait.

with ganclinic.watch("my-stylegan", real=reference_images) as w:
    for ...:
        w.step(d_loss_real=..., d_loss_fake=..., g_loss=..., d_acc_real=..., d_acc_fake=...)
        w.epoch(samples=fakes)
        if w.verdict.severe: break

What is logged is put into a list, and nothing else happens in the trainer's own thread. Another one takes it from there
twice a second and writes it to a file (see `ganclinic.watching.spool`). A third one sends what the file has, or judges
it, and may wait for the service as long as it has to. So at most the last
half second is missing when the trainer is killed, and the step that `log` has begun; an outage of the service costs
nothing but the file.
"""

import atexit
import contextlib
import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from uuid import uuid4

from ganclinic.config import ConfigSources, find_service
from ganclinic.errors import GanClinicError
from ganclinic.transport import Transport
from ganclinic.watching.local import LocalJudge
from ganclinic.watching.rows import Row, StepBuilder, array_of, blocks, numbers_of, samples_of
from ganclinic.watching.sender import Away, Refused, Sender, as_upload
from ganclinic.watching.spool import Spool, SpooledRun
from ganlib.foreign_logs.objectives import OBJECTIVES
from ganlib.step_blocks import MAX_BLOCK_STEPS

INTERVAL_S = 0.5
LOOK_INTERVAL_S = 2.0
"""How often the service is asked for a verdict that it has not told yet."""
LONGEST_PAUSE_S = 10.0
"""Between two tries to reach a service that is away."""
LONGEST_OPEN_S = 60.0
"""So long a step that `log` has begun is held back for the rest of it."""
MOST_WAITING = 200_000
"""Steps in memory, should the disk not take them; what comes then is left out, and counted."""
MOST_SAMPLES_WAITING = 4
"""Epochs' samples in memory, likewise."""
EPOCH_STEPS = 500
EPOCH_SHARE = 0.02
"""Where the trainer never says that an epoch has ended, so many steps are one, or this share of all, if that is more:
an epoch is judged by all that came before, and a long training would be judged ever more slowly."""
MAX_SPOOL_BYTES = 2 * 1024**3
"""Of samples that wait for the service, or to be judged here; an epoch beyond that goes on without them."""
Mode = Literal["server", "local", "off"]
FOLDER = Path(".ganclinic-watch")

logger = logging.getLogger("ganclinic.watch")


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchVerdict:
    """What is known so far."""

    name: str | None = None
    """The verdict; None before the first epoch is judged."""
    severity: str | None = None
    epoch: int = 0
    """Up to which it was judged."""
    reason: str = ""
    """What shows it; the service tells it on the run's page, this machine here."""
    cancelled: bool = False
    """Whether somebody wants the training to stop."""

    @property
    def severe(self) -> bool:
        """Whether going on as before is a waste."""
        return self.severity == "severe"


@dataclass(frozen=True, slots=True)
class _Epoch:
    """An epoch's end among the steps."""

    seconds: float
    samples: Any = None


@dataclass(frozen=True, slots=True)
class _End:
    """The training's end."""

    outcome: str
    error: str | None


class WatchedTraining:
    """A training that is watched; usable as a context manager. Its methods may be called from any thread."""

    def __init__(
        self, spool: Spool | None, sender: Callable[[], Sender] | None, *, steps_per_epoch: int | None
    ) -> None:
        """`spool`: None where nothing is kept. `sender`: None where nothing is sent."""
        self._spool, self._make_sender = spool, sender
        self._sender: Sender | None = None
        self._judge = LocalJudge(spool) if spool is not None and sender is None else None
        self._items: deque[tuple[Row, bool] | _Epoch | _End] = deque()
        self._unwritten: list[Row] = []
        self._names = dict[str, None]()
        self._left_out = 0
        self._counting = threading.Lock()
        self._rows = StepBuilder()
        self._was_open: Row | None = None
        self._open_since = 0.0
        self._per_epoch = steps_per_epoch
        self._says_epochs = False
        self._epochs = self._in_epoch = self._steps = 0
        self._began_at = time.monotonic()
        self._next_try = self._next_look = 0.0
        self._pause = INTERVAL_S
        self._verdict = WatchVerdict()
        self._refused: str | None = None
        self._ended = self._wrote_end = self._all_sent = self._is_busy = False
        self._noted: set[str] = set()
        self._wake = threading.Event()
        self._progress = threading.Condition()
        self._has_more = threading.Event()
        if spool is not None:
            threading.Thread(target=self._run_writer, name="ganclinic-watch", daemon=True).start()
            threading.Thread(target=self._run_sender, name="ganclinic-watch-sender", daemon=True).start()
            atexit.register(self._at_exit)

    # --- what a trainer calls -----------------------------------------------------------------------------------

    def step(self, **values: Any) -> None:
        """Logs a step: numbers, or tensors with one element, by their names. Never raises."""
        if self._spool is not None:
            self._put(numbers_of(values), is_whole=True)

    def log(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Logs numbers under the trainer's own names, perhaps a part of a step's. Never raises.

        `step`: the number of the step; without it, a step goes on until one of its names comes again, `epoch` or
        `end`, for a minute at most.
        """
        if self._spool is None:
            return
        with contextlib.suppress(Exception):
            row = numbers_of(values)
            if row:
                self._put(row if step is None else {"step": float(step), **row}, is_whole=False)

    def epoch(self, samples: Any = None) -> WatchVerdict:
        """Ends an epoch, with samples of it; the verdict so far. Never raises.

        Samples are [n, channels, height, width] (or channels last), as bytes or floats, or points [n, d]; of more than
        1,000 some are looked at, by chance. They are copied, and may be changed at once.
        """
        if self._spool is None:
            return self._verdict
        array: Any = None
        try:
            if samples is not None and self._waiting_samples() < MOST_SAMPLES_WAITING:
                array = samples_of(samples)
            elif samples is not None:
                self._note(f"samples are left out: those of {MOST_SAMPLES_WAITING} epochs wait for the disk")
        except Exception as error:  # noqa: BLE001  whatever a stranger's type raises, its trainer goes on
            self._note(f"the samples were not taken: {error}")
        now = time.monotonic()
        self._says_epochs = True
        self._items.append(_Epoch(seconds=now - self._began_at, samples=array))
        self._began_at = now
        self._wake.set()
        return self._verdict

    @property
    def verdict(self) -> WatchVerdict:
        """What is known so far: of the last epoch that was judged, which may be one before the last that was sent."""
        return self._verdict

    @property
    def run_id(self) -> str | None:
        """The run's id; None before the service has made it, and without one."""
        return None if self._spool is None else self._spool.order.run_id

    @property
    def folder(self) -> Path | None:
        """Where everything is kept until the service has it; None where nothing is."""
        return None if self._spool is None else self._spool.folder

    def end(self, outcome: str = "succeeded", error: str | None = None, *, timeout_s: float = 30.0) -> None:
        """Ends the run (`succeeded`, `failed` or `cancelled`), and waits until all is sent, for as long at most.

        What is left then is in `folder`: `ganclinic sync` sends it. Never raises.
        """
        if self._spool is None or self._ended:
            return
        self._ended = True
        self._items.append(_End(outcome, error))
        self._wake.set()
        self._wait(self._is_over, timeout_s)
        self._say_left_out()
        if not self._wrote_end:
            self._note("not all was written: what the disk does not take until the process ends is lost")
        elif self._make_sender is not None and not self._all_sent:
            self._note(f"not all was sent; `ganclinic sync {self._spool.folder}` sends what is left")

    def wait(self, timeout_s: float = 60.0) -> WatchVerdict:
        """The verdict once every epoch so far is judged, or after that time. Never raises."""
        if self._spool is not None:
            self._wake.set()
            self._has_more.set()  # the writer may have ended
            self._wait(self._is_judged, timeout_s)
        return self._verdict

    def __enter__(self) -> Self:
        """The watch itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the run: as failed where an error goes through."""
        if kind is None:
            self.end()
        elif issubclass(kind, KeyboardInterrupt):
            self.end("cancelled", timeout_s=5.0)
        else:
            self.end("failed", f"{kind.__name__}: {error}"[:2000], timeout_s=5.0)

    def _put(self, row: Row, *, is_whole: bool) -> None:
        if len(self._items) + len(self._unwritten) < MOST_WAITING:
            self._items.append((row, is_whole))
        else:
            with self._counting:
                self._left_out += 1

    def _waiting_samples(self) -> int:
        return sum(isinstance(item, _Epoch) and item.samples is not None for item in list(self._items))

    # --- the thread that writes ---------------------------------------------------------------------------------

    def _run_writer(self) -> None:
        while not self._wrote_end:
            self._wake.wait(INTERVAL_S)
            self._wake.clear()
            self._is_busy = True  # before anything is taken from the list
            try:
                self._write()
                self._say_left_out()
            except OSError as error:
                self._note(f"what was logged waits in memory for the disk: {error}")
            except Exception as error:  # noqa: BLE001  a fault of ours: the trainer goes on
                self._note(f"{type(error).__name__}: {error}")
            with self._progress:
                self._is_busy = False
                self._progress.notify_all()
            self._has_more.set()

    def _write(self) -> None:
        """Everything that was logged by now goes to the file; what it does not take is kept for the next time.

        Raises:
            OSError: there is no room, say.
        """
        for _ in range(len(self._items)):
            if self._wrote_end:
                return  # what came after the end is of no run
            match self._items[0]:
                case _Epoch() as epoch:
                    self._close_step()
                    self._write_epoch(epoch)
                case _End() as end:
                    self._close_step()
                    self._write_end(end)
                case row, is_whole:
                    self._items.popleft()
                    self._collect(row, is_whole=is_whole)
                    if self._is_epoch():
                        self._end_epoch()
        self._close_old_step()
        self._write_rows()

    def _collect(self, row: Row, *, is_whole: bool) -> None:
        before = self._rows.add(row) if not is_whole else self._rows.close()
        if before is not None:
            self._unwritten.append(before)
        if is_whole:
            self._unwritten.append(row)

    def _close_old_step(self) -> None:
        now = time.monotonic()
        if self._rows.open is not self._was_open:
            self._was_open, self._open_since = self._rows.open, now
        elif now - self._open_since >= LONGEST_OPEN_S:
            self._close_step()

    def _close_step(self) -> None:
        last = self._rows.close()
        if last is not None:
            self._unwritten.append(last)

    def _is_epoch(self) -> bool:
        if self._per_epoch is None and self._says_epochs:
            return False
        most = self._per_epoch or max(EPOCH_STEPS, EPOCH_SHARE * self._steps)
        return self._in_epoch + len(self._unwritten) >= most

    def _end_epoch(self) -> None:
        """Ends an epoch of which the trainer has said nothing, before all that waits."""
        now = time.monotonic()
        epoch = _Epoch(seconds=now - self._began_at)
        self._began_at = now
        self._items.appendleft(epoch)
        self._write_epoch(epoch)

    def _write_rows(self) -> None:
        assert self._spool is not None, "without one there is no thread"
        while self._unwritten:
            for block, count in blocks(self._unwritten[:MAX_BLOCK_STEPS], self._names):
                self._spool.add("steps", block)
                del self._unwritten[:count]
                self._in_epoch += count
                self._steps += count

    def _write_epoch(self, epoch: _Epoch) -> None:
        """Writes an epoch's end, the first of what waits."""
        assert self._spool is not None, "without one there is no thread"
        if not self._unwritten and self._in_epoch == 0:
            self._unwritten.append({})  # an epoch has a step, be it one of which nothing is known
        self._write_rows()
        number = self._epochs + 1
        if epoch.samples is not None and self._has_room():
            try:
                self._spool.save_samples(self._spool.samples_path(number), epoch.samples)
            except OSError as error:
                self._note(f"the samples of epoch {number} were not kept: {error}")
        self._spool.add("epoch", json.dumps({"seconds": round(epoch.seconds, 3)}).encode(), safe=True)
        self._epochs, self._in_epoch = number, 0
        self._items.popleft()

    def _has_room(self) -> bool:
        assert self._spool is not None, "without one there is no thread"
        if sum(map(_size, self._spool.folder.glob("epoch-*.npy"))) < MAX_SPOOL_BYTES:
            return True
        self._note(f"samples are left out: those that wait in {self.folder} take {MAX_SPOOL_BYTES / 1024**3:g} GiB")
        return False

    def _write_end(self, end: _End) -> None:
        """Writes the training's end, the last of what waits."""
        assert self._spool is not None, "without one there is no thread"
        self._write_rows()
        if self._in_epoch:
            self._end_epoch()
        said = {"outcome": end.outcome, **({} if end.error is None else {"error": end.error})}
        self._spool.add("end", json.dumps(said).encode(), safe=True)
        self._wrote_end = True
        self._items.popleft()
        if self._make_sender is None:
            self._spool.close()

    # --- the thread that sends, or judges -----------------------------------------------------------------------

    def _run_sender(self) -> None:
        while not self._is_over():
            self._has_more.wait(INTERVAL_S)
            self._has_more.clear()
            try:
                if self._judge is not None:
                    self._judge_here(self._judge)
                elif self._refused is None:
                    self._send()
            except Exception as error:  # noqa: BLE001  a fault of ours, a full disk: the trainer goes on
                self._note(f"{type(error).__name__}: {error}")
            with self._progress:
                self._progress.notify_all()

    def _judge_here(self, judge: LocalJudge) -> None:
        is_all = self._wrote_end  # before it is read
        try:
            judge.judge()
        finally:
            self._take_local(judge)
            self._all_sent = is_all

    def _take_local(self, judge: LocalJudge) -> None:
        self._say_notes(judge.notes)
        found = judge.diagnosis
        if found is not None:
            self._verdict = WatchVerdict(
                name=found.verdict, severity=found.severity, epoch=found.epoch, reason=found.reason
            )

    def _send(self) -> None:
        now = time.monotonic()
        if now < self._next_try and not self._ended:
            return
        try:
            if self._sender is None:
                assert self._make_sender is not None, "else it is judged here"
                self._sender = self._make_sender()
            sender = self._sender
            self._all_sent = sender.send()
            state = sender.state
            if state is not None and state.epochs_done < state.epochs_sent and now >= self._next_look:
                self._next_look = now + LOOK_INTERVAL_S
                sender.look()
        except (Away, GanClinicError) as error:
            self._note(f"the service is away, and all is kept in {self.folder}: {error}")
            self._next_try = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE_S)
        except Refused as error:
            self._refused = str(error)
            with contextlib.suppress(Away, Refused, GanClinicError):
                if self._sender is not None:
                    self._sender.look()  # was it cancelled?
            self._note(f"the service takes no more: {error}")
        else:
            self._pause = INTERVAL_S
        self._take_state()

    def _take_state(self) -> None:
        if self._sender is None:
            return
        self._say_notes(self._sender.notes)
        state = self._sender.state
        if state is not None:
            self._verdict = WatchVerdict(
                name=state.verdict,
                severity=state.severity,
                epoch=state.epochs_done,
                cancelled=state.cancel_requested or state.status == "cancelled",
            )

    # --- small things -------------------------------------------------------------------------------------------

    def _wait(self, is_so: Callable[[], bool], timeout_s: float) -> None:
        with self._progress:
            self._progress.wait_for(is_so, timeout_s)

    def _is_over(self) -> bool:
        return self._all_sent or (self._wrote_end and self._refused is not None)

    def _is_judged(self) -> bool:
        is_written = self._wrote_end or not (self._items or self._is_busy)
        return is_written and self._verdict.epoch >= self._epochs

    def _say_left_out(self) -> None:
        with self._counting:
            count, self._left_out = self._left_out, 0
        if count:
            self._note(f"{count} steps were left out: {MOST_WAITING} waited for the disk already")

    def _say_notes(self, notes: list[str]) -> None:
        while notes:
            self._note(notes.pop(0))

    def _note(self, text: str) -> None:
        """Warns, of each thing once."""
        if text not in self._noted:
            self._noted.add(text)
            logger.warning("%s", text)

    def _at_exit(self) -> None:
        """The process ends without a word to us: what was logged is kept, and sent where that is quick."""
        if not self._ended:
            self.end("succeeded" if self._all_sent else "failed", "the trainer ended without saying so", timeout_s=5.0)


def _size(path: Path) -> int:
    """Bytes of a file, which may have been sent and deleted by now."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def watch(
    name: str | None = None,
    *,
    real: Any = None,
    objective: str | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    mode: Mode = "server",
    folder: str | Path = FOLDER,
    url: str | None = None,
    token: str | None = None,
) -> WatchedTraining:
    """Begins to watch this training. Does not wait for the service, which may be away.

    `real`: real samples, as `epoch` takes them, at least 100, with which fakes are compared. `objective`: what the
    trainer minimises (`bce`, `lsgan`, `wgan-gp`, …); inferred from the numbers without it. `epochs`: how many there
    will be. `steps_per_epoch`: ends an epoch by itself after so many; without it that is left to `epoch`, and where
    that is never called, every 500 steps are one. `mode`: `server` sends to the service that `url` and `token` name,
    or the configuration (see `ganclinic.config`); `local` needs none, and judges here; `off` does nothing at all.
    `folder`: where what waits to be sent is kept.

    Raises:
        ValueError: an argument is none of those that are allowed, or `real` holds no samples.
    """
    if mode not in ("server", "local", "off"):
        raise ValueError(f"mode: '{mode}' is not known; allowed: server, local, off")
    if objective is not None and objective not in OBJECTIVES:
        raise ValueError(f"objective: '{objective}' is not known; allowed: {', '.join(OBJECTIVES)}")
    if steps_per_epoch is not None and steps_per_epoch < 1:
        raise ValueError(f"steps_per_epoch: {steps_per_epoch}; allowed: 1 and more")
    if mode == "off":
        return WatchedTraining(None, None, steps_per_epoch=None)
    reals = None if real is None else as_upload(array_of(real))
    order = SpooledRun(name=name, objective=objective, epochs=epochs, key=uuid4().hex)
    try:
        made = Spool.begin(Path(folder) / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{order.key[:6]}", order)
        if reals is not None:
            made.save_samples(made.real_path, reals)
    except OSError as error:
        logger.warning("the training is not watched: %s", error)
        return WatchedTraining(None, None, steps_per_epoch=None)

    def sender() -> Sender:
        address = find_service(ConfigSources.real(), url=url, token=token)
        return Sender(transport=Transport(address.url, address.token), spool=made, notes=[])

    return WatchedTraining(made, sender if mode == "server" else None, steps_per_epoch=steps_per_epoch)
