"""The training process: `python -m worker.attempt.training`, started by a worker, which gives it a ticket on stdin.

Trains one attempt of a run from the last checkpoint that the database names (or makes a comparison: see
`worker.attempt.comparison`; or judges a watched run: see `worker.attempt.looking`; or trains several runs at once: see
`worker.attempt.stack`). It records epochs, and success or the halt by a diagnosis; what else may happen is told to the
worker, or seen by it.
"""

import faulthandler
import logging
import os
import signal
import sys
import time
from collections.abc import Callable

import torch
from sqlalchemy import Engine

from ganlib.data.load import DataArrays, UploadedFiles, load_dataset
from ganlib.training.loop import TrainingLoop
from store.core.db import make_engine, training_turns
from store.core.errors import LeaseLost
from store.core.models import Kind
from store.core.settings import Settings
from store.files.backends import checkpoint_files
from store.files.local import room_in
from store.operations.logging import configure_logging
from store.operations.tracing import ATTEMPT, EPOCH, RUN, add_span, configure_tracing, stop_tracing
from store.runs import lifecycle
from store.runs.extensions import specs_before
from store.runs.machines import Machine
from worker.attempt.beginning import StoredRun, begin, find_upload, load_state, load_warm_start, read_run
from worker.attempt.channel import Channel, Stopped
from worker.attempt.checkpoints import Checkpoints
from worker.attempt.comparison import compare_samples
from worker.attempt.context import AttemptContext
from worker.attempt.device import (
    choose_device,
    choose_precision,
    set_threads,
    this_machine,
)
from worker.attempt.errors import FINAL_ERRORS, LOCAL_ERRORS, as_told
from worker.attempt.looking import look_at_epochs
from worker.attempt.out_of_memory import OutOfMemory, advise, explain, limit_memory
from worker.attempt.process_group import OUT_OF_MEMORY, ProcessGroup
from worker.attempt.recorder import Recorder, look_up
from worker.attempt.retry import RetryingFiles
from worker.attempt.stack import train_stack
from worker.attempt.warm_up import warm_up
from worker.group_folders import folder_of
from worker.messages import Failed, Stepped, Ticket, Working

logger = logging.getLogger("worker.attempt.training")


def main() -> int:
    """Exit status 0 after success or a stop, 1 after an error that the worker was told; others are tracebacks."""
    faulthandler.enable()
    faulthandler.register(signal.SIGTERM, chain=True)  # where did it hang? the log tells
    channel = Channel.over_standard_streams()
    if not channel.is_awaited():
        warm_up()
    ticket = channel.read_ticket()
    settings = Settings()
    configure_logging(settings.log_format, secrets=settings.secrets, run=ticket.run_id, attempt=ticket.attempt)
    configure_tracing("ganclinic-training", settings)
    engine = make_engine(settings.database, turns=training_turns(settings.connection_turns))
    context = AttemptContext(ticket=ticket, channel=channel, engine=engine, settings=settings)
    try:
        with room_in(None):
            work = train_stack if ticket.is_stacked else WORK[_kind(engine, ticket.run_id)]
            work(context)
    except (Stopped, LeaseLost) as reason:
        logger.info("ended: %s", reason)
    except (*FINAL_ERRORS, *LOCAL_ERRORS) as error:
        logger.error("%s", error)
        channel.tell(as_told(error))
        return 1
    except torch.OutOfMemoryError as error:  # of a comparison: a training's is an OutOfMemory
        channel.tell(Failed(kind=OutOfMemory.__name__, error=f"{explain(error)} Compare fewer samples"))
        return 1
    finally:
        engine.dispose()
        stop_tracing()
    return 0


def _kind(engine: Engine, run_id: str) -> Kind:
    run = look_up(engine, lambda session: lifecycle.find(session, run_id))
    assert run is not None, "a claimed run exists"
    return run.kind


def train(context: AttemptContext) -> None:
    """Trains and records the epochs that are left.

    Raises:
        Stopped: the worker said so.
        LeaseLost: the run is no longer this attempt's.
        DatasetUnavailable: the data are not there.
        UploadNotFound: the upload that they are was deleted.
        DeviceUnavailable: the device is not there.
        CheckpointUnreadable: the run was extended, and none since its former end can be read; nothing was written.
        OutOfMemory: the GPU's memory does not suffice.
    """
    ticket, channel, settings = context.ticket, context.channel, context.settings
    found = read_run(context.engine, ticket.run_id)
    spec = found.spec
    channel.tell(Working(on="loading data"))
    device = choose_device(spec.resources.device, ticket.device)
    limit_memory(device, ticket.gpu_memory)
    threads = set_threads(settings.threads, found.attempts)
    machine = this_machine(device, threads, choose_precision(spec, device, found.attempts, ticket.bf16_speedup))
    upload = find_upload(spec.dataset, context.engine, context.uploaded())
    data = load_dataset(spec.dataset, settings.data, spec.seed, upload=upload)
    count = spec.resources.gpus
    devices = ((ticket.device, *ticket.more_devices) * count)[:count]

    def end_with(rank: int, status: int) -> None:
        """A training without one of its processes would wait for it for ever."""
        if status == OUT_OF_MEMORY:
            error = f"process {rank} of {count} is out of memory: ask for a smaller training.batch_size"
            channel.tell(Failed(kind=OutOfMemory.__name__, error=error))
        logger.error("process %d of %d ended with status %d", rank, count, status)
        os._exit(1)

    try:
        folder = folder_of(settings.home, ticket.run_id, ticket.attempt)
        with ProcessGroup(spec, devices, machine.threads, folder, on_death=end_with) as group:
            _train_on(context, found, machine, device, data, upload, group)
    except torch.OutOfMemoryError as error:
        reason = explain(error)
    else:
        return

    def say_so() -> None:
        channel.obey()
        channel.tell(Working(on="looking for a batch size that fits"))

    # Out here nothing refers to the training any more: the error did, with its traceback.
    raise advise(reason, spec, data, device, before_a_trial=say_so)


def _train_on(
    context: AttemptContext,
    found: StoredRun,
    machine: Machine,
    device: torch.device,
    data: DataArrays,
    upload: UploadedFiles | None,
    group: ProcessGroup,
) -> None:
    """Trains from the last checkpoint on, and records."""
    ticket, channel, engine = context.ticket, context.channel, context.engine
    spec, settings = found.spec, context.settings
    files = RetryingFiles(checkpoint_files(settings), channel)
    checkpoints = Checkpoints.of(
        files, ticket.run_id, ticket.attempt, found.epochs, found.healthy_epochs, settings.keep_checkpoints
    )
    before = specs_before(spec, found.extended_from)
    state = load_state(checkpoints, ticket.run_id, found)
    training = TrainingLoop(
        spec, data, device=device, state=state, before=before, ranks=group.ranks, precision=machine.precision
    )
    if training.epoch == 0 and found.warm_start is not None:
        warm = load_warm_start(found.warm_start, engine, files)
        if warm is not None:
            training.warm_start(warm)
    channel.tell(Working(on="starting its processes"))
    group.start(training, upload)
    history = begin(ticket, engine, machine, training.epoch, found)
    logger.info("begins after epoch %d on %s", training.epoch, machine)
    channel.obey()
    channel.tell(Working(on="preparing evaluation"))
    recorder = Recorder(context, training, data, history=history, checkpoints=checkpoints)
    _train_epochs(training, recorder, channel, ticket)


def _train_epochs(training: TrainingLoop, recorder: Recorder, channel: Channel, ticket: Ticket) -> None:
    started_at = time.monotonic()
    for report in training.epochs(channel.step):
        seconds = time.monotonic() - started_at
        channel.tell(Stepped(step=training.step))
        channel.tell(Working(on=f"recording epoch {report.epoch}"))
        recorded = recorder.record(report, training.state(), seconds)
        diagnosis = recorded.diagnosis
        logger.info("epoch %d took %.2f s: %s, %s", report.epoch, seconds, diagnosis.verdict, diagnosis.reason)
        attributes = {
            RUN: ticket.run_id,
            ATTEMPT: ticket.attempt,
            EPOCH: report.epoch,
            "ganclinic.step": training.step,
            "ganclinic.verdict": diagnosis.verdict,
        }
        seconds = time.monotonic() - started_at  # with its evaluation and what was stored
        add_span("epoch", attributes, traceparent=ticket.traceparent, seconds=seconds)
        if recorded.halted_by is not None:
            logger.info("halted: %s since epoch %d", recorded.halted_by.name, recorded.halted_by.first_epoch)
            return
        if recorded.paused:
            logger.info("paused, as was asked for")
            return
        if recorded.out_of_time:
            logger.info("ended: its time is used up")
            return
        started_at = time.monotonic()


WORK: dict[Kind, Callable[[AttemptContext], None]] = {
    "training": train,
    "comparison": compare_samples,
    "look": look_at_epochs,
}


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # everything is written, and torch takes a second to tear itself down
