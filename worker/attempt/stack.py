"""A training process that trains several runs at once, as one stack of networks.

Each run keeps its own ticket, lease and token: its epochs are recorded in transactions of their own, and it leaves when
it is over, cancelled, paused, lost or failed, while the others go on.
"""

import logging
import time
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from ganlib.data.load import load_dataset
from ganlib.spec.run import RunSpec
from ganlib.training.loop import TrainingState
from ganlib.training.stacked.loop import StackedLoop, StackMember
from store.core.errors import LeaseLost, RunNotFound
from store.files.backends import checkpoint_files
from store.operations.logging import log_context
from store.operations.tracing import ATTEMPT, EPOCH, RUN, add_span
from store.runs import lifecycle
from store.runs.extensions import specs_before
from store.runs.machines import Machine
from store.scheduling import preemption
from worker.attempt.beginning import StoredRun, begin, find_upload, load_state, load_warm_start, read_run
from worker.attempt.channel import Channel
from worker.attempt.checkpoints import Checkpoints
from worker.attempt.context import AttemptContext
from worker.attempt.device import choose_device, set_threads, this_machine
from worker.attempt.errors import FINAL_ERRORS, LOCAL_ERRORS, as_told
from worker.attempt.out_of_memory import MORE_MEMORY, OutOfMemory, explain, limit_memory
from worker.attempt.recorder import Recorder, look_up
from worker.attempt.retry import RetryingFiles
from worker.messages import Failed, HandedBack, Stepped, Ticket, Working

logger = logging.getLogger("worker.attempt.stack")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A run that can begin."""

    context: AttemptContext
    found: StoredRun
    checkpoints: Checkpoints
    member: StackMember
    warm: TrainingState | None
    """Of another run, to begin with its weights; None where it begins with its own."""

    @property
    def start(self) -> int:
        """Epochs that it has made."""
        return 0 if self.member.state is None else self.member.state.epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class _TrainedMember:
    """A run of the stack, as its recorder sees it."""

    stack: StackedLoop
    name: str
    spec: RunSpec
    device: torch.device

    def discriminator_features(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.stack.discriminator_features(self.name, samples)


def train_stack(context: AttemptContext) -> None:
    """Trains and records the epochs that are left of all runs of the ticket.

    Raises:
        Stopped: the worker said so.
        DeviceUnavailable: the device is not there.
        OutOfMemory: the GPU's memory does not suffice for the one run that there is.
    """
    try:
        _train(context)
    except torch.OutOfMemoryError as error:
        reason = f"{explain(error)} {MORE_MEMORY[0].upper()}{MORE_MEMORY[1:]}"
        if not context.ticket.fellows:
            raise OutOfMemory(reason) from None
        # each is tried again without the others
        context.channel.tell(Failed(kind=OutOfMemory.__name__, error=reason, is_final=False))


def _train(context: AttemptContext) -> None:
    ticket, channel, settings = context.ticket, context.channel, context.settings
    channel.tell(Working(on="loading data"))
    found = [(own, run) for own in ticket.each if (run := _find(context, own)) is not None]
    if not found:
        return
    _, first = found[0]
    device = choose_device(first.spec.resources.device, ticket.device)
    limit_memory(device, ticket.gpu_memory)
    machine = this_machine(device, set_threads(settings.threads, first.attempts))
    prepared = _those_that_begin_together([_prepare(context, own, run) for own, run in found], channel)
    if not prepared:
        return
    stack = StackedLoop([each.member for each in prepared], device=device)
    recorders: dict[str, Recorder] = {}
    for each in prepared:
        channel.obey()
        with _told(each.context.ticket):
            _begin(each, stack, machine, recorders)
    _train_epochs(stack, recorders, context)


def _find(context: AttemptContext, own: Ticket) -> StoredRun | None:
    """What the database knows of the run of that ticket; None where it was cancelled and deleted since its claim."""
    with _told(own):
        try:
            return read_run(context.engine, own.run_id)
        except RunNotFound as error:  # its worker learns it when it renews the lease
            logger.info("leaves the stack: %s", error)
            return None


def _prepare(context: AttemptContext, own: Ticket, found: StoredRun) -> _Prepared | None:
    """The run of that ticket, ready to begin; None where it has failed, as its worker is told."""
    context = replace(context, ticket=own)
    channel, settings = context.channel, context.settings
    channel.obey()
    channel.tell(Working(on=f"loading the data of run {own.run_id}"))
    with _told(own):
        try:
            files = RetryingFiles(checkpoint_files(settings), channel)
            checkpoints = Checkpoints.of(
                files, own.run_id, own.attempt, found.epochs, found.healthy_epochs, settings.keep_checkpoints
            )
            upload = find_upload(found.spec.dataset, context.engine, context.uploaded())
            state = load_state(checkpoints, own.run_id, found)
            warm = None
            if state is None and found.warm_start is not None:
                warm = load_warm_start(found.warm_start, context.engine, files)
            member = StackMember(
                name=own.run_id,
                spec=found.spec,
                data=load_dataset(found.spec.dataset, settings.data, found.spec.seed, upload=upload),
                state=state,
                before=tuple(specs_before(found.spec, found.extended_from)),
            )
        except (*FINAL_ERRORS, *LOCAL_ERRORS) as error:
            _tell_failure(error, own, channel)
            return None
    return _Prepared(context=context, found=found, checkpoints=checkpoints, member=member, warm=warm)


def _those_that_begin_together(prepared: "list[_Prepared | None]", channel: Channel) -> list[_Prepared]:
    """Of the runs that can begin, those that have come as far as most of them; the others are handed back.

    A checkpoint that cannot be read sends a run further back than those that it was claimed with.
    """
    able = [each for each in prepared if each is not None]
    if not able:
        return []
    [(start, _)] = Counter(each.start for each in able).most_common(1)
    for each in able:
        if each.start != start:
            logger.warning("run %s goes on after epoch %d, without the others", each.member.name, each.start)
            channel.tell(HandedBack(run_id=each.member.name))
    return [each for each in able if each.start == start]


def _begin(each: _Prepared, stack: StackedLoop, machine: Machine, recorders: dict[str, Recorder]) -> None:
    """Begins the run's attempt, unless it is somebody else's already."""
    context, name = each.context, each.member.name
    context.channel.tell(Working(on=f"preparing the evaluation of run {name}"))
    if each.warm is not None:
        stack.warm_start(name, each.warm)
    try:
        history = begin(context.ticket, context.engine, machine, stack.epoch, each.found)
        member = _TrainedMember(stack=stack, name=name, spec=each.member.spec, device=stack.device)
        recorders[name] = Recorder(context, member, each.member.data, history=history, checkpoints=each.checkpoints)
    except LeaseLost as error:
        logger.info("leaves the stack: %s", error)
        stack.drop(name)
    except (*FINAL_ERRORS, *LOCAL_ERRORS) as error:
        _leave(stack, error, context.ticket, context.channel)
    else:
        logger.info("begins after epoch %d, one of %d, on %s", stack.epoch, len(stack.names), machine)


def _train_epochs(stack: StackedLoop, recorders: dict[str, Recorder], context: AttemptContext) -> None:
    channel, tickets = context.channel, {own.run_id: own for own in context.ticket.each}

    def on_step(step: int) -> None:
        _drop_those_told(stack, channel)
        channel.step(step)

    started_at = time.monotonic()
    for epoch in stack.epochs(on_step):
        seconds = time.monotonic() - started_at
        channel.tell(Stepped(step=stack.step))
        hands_over = _gives_way(stack, context)
        for name in stack.names:
            channel.obey()
            _drop_those_told(stack, channel)
            if name not in stack.names:
                continue
            channel.tell(Working(on=f"recording epoch {epoch} of run {name}"))
            with _told(tickets[name]):
                _record(stack, recorders[name], tickets[name], channel, seconds, hands_over=hands_over)
        started_at = time.monotonic()


def _record(
    stack: StackedLoop, recorder: Recorder, ticket: Ticket, channel: Channel, seconds: float, *, hands_over: bool
) -> None:
    """Records the epoch of a run, which leaves the stack where that was its end."""
    name, started_at = ticket.run_id, time.monotonic()
    try:
        recorded = recorder.record(stack.report(name), stack.state(name), seconds, hands_over=hands_over)
    except LeaseLost as error:
        logger.info("leaves the stack: %s", error)
        stack.drop(name)
        return
    except (*FINAL_ERRORS, *LOCAL_ERRORS) as error:
        _leave(stack, error, ticket, channel)
        return
    diagnosis = recorded.diagnosis
    logger.info(
        "epoch %d of %d runs took %.2f s: %s, %s",
        stack.epoch,
        len(stack.names),
        seconds,
        diagnosis.verdict,
        diagnosis.reason,
    )
    attributes = {
        RUN: name,
        ATTEMPT: ticket.attempt,
        EPOCH: stack.epoch,
        "ganclinic.step": stack.step,
        "ganclinic.verdict": diagnosis.verdict,
    }
    seconds += time.monotonic() - started_at
    add_span("epoch", attributes, traceparent=ticket.traceparent, seconds=seconds)
    if recorded.halted_by is not None:
        logger.info("halted: %s since epoch %d", recorded.halted_by.name, recorded.halted_by.first_epoch)
    if recorded.paused:
        logger.info("paused or handed over, as was asked for")
    if recorded.halted_by is not None or recorded.paused or recorded.out_of_time:
        stack.drop(name)


def _gives_way(stack: StackedLoop, context: AttemptContext) -> bool:
    """Whether one of the runs is to give way to another, for which all have to leave their place."""

    def look(session: Session) -> bool:
        runs = [lifecycle.find(session, name) for name in stack.names]
        return any(run is not None and preemption.wanted_by(session, run) is not None for run in runs)

    return look_up(context.engine, look)


def _drop_those_told(stack: StackedLoop, channel: Channel) -> None:
    for name in channel.dropped():
        stack.drop(name)


def _leave(stack: StackedLoop, error: Exception, ticket: Ticket, channel: Channel) -> None:
    """Goes on without a run, whose worker is told why."""
    # what has no room beside the others may have it alone
    is_tried_alone = isinstance(error, OutOfMemory) and len(stack.names) > 1
    _tell_failure(error, ticket, channel, is_tried_alone=is_tried_alone)
    stack.drop(ticket.run_id)


def _tell_failure(error: Exception, ticket: Ticket, channel: Channel, *, is_tried_alone: bool = False) -> None:
    logger.error("leaves the stack: %s", error)
    told = as_told(error, ticket.run_id)
    channel.tell(told.model_copy(update={"is_final": False}) if is_tried_alone else told)


def _told(ticket: Ticket) -> AbstractContextManager[None]:
    """What is logged within is of that run."""
    return log_context(run=ticket.run_id, attempt=ticket.attempt)
