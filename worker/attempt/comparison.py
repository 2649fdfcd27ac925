# pyright: standard
"""The training process's other work: one attempt of a comparison of two stored sets of samples."""

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from ganlib.evaluation.cache import Cache
from ganlib.evaluation.reference import compare
from ganlib.spec.comparison import ComparisonSpec
from store import comparisons
from store.core.models import Attempt
from store.runs import leases, lifecycle, recording
from worker.attempt.context import AttemptContext
from worker.attempt.device import choose_device, set_threads, this_machine
from worker.attempt.recorder import look_up, persist, put_bin_images
from worker.messages import Working

logger = logging.getLogger("worker.attempt.comparison")


def compare_samples(context: AttemptContext) -> None:
    """Compares, and records what was found together with the success.

    Raises:
        Stopped: the worker said so.
        LeaseLost: the comparison is no longer this attempt's.
        ArtifactNotFound: the samples are gone.
        InvalidComparison: the samples cannot be compared so.
        ExtractorUnavailable: the weights of the extractor are not there.
    """
    ticket, channel, engine, settings = context.ticket, context.channel, context.engine, context.settings
    spec, attempts = _read(engine, ticket.run_id)
    channel.tell(Working(on="loading samples"))
    device = choose_device("auto", ticket.device)
    machine = this_machine(device, set_threads(settings.threads, attempts))
    persist(
        engine,
        lambda session: leases.describe_attempt(
            session, ticket.run_id, ticket.token, machine, resumed_from_epoch=None, identical=None
        ),
    )
    artifacts = context.artifacts()
    reals, fakes = (_load(artifacts.fetch(sha256)) for sha256 in (spec.reals, spec.fakes))
    channel.obey()
    channel.tell(Working(on="comparing"))
    started_at = time.monotonic()
    evaluation, reference = compare(
        reals,
        fakes,
        spec.comparison,
        seed=spec.seed,
        device=device,
        cache=Cache(settings.cache),
        data_dir=settings.data,
    )
    logger.info("compared in %.2f s on %s", time.monotonic() - started_at, machine)
    channel.obey()
    pictures = put_bin_images(reference, artifacts)
    persist(
        engine, lambda session: recording.record_comparison(session, ticket.run_id, ticket.token, evaluation, pictures)
    )


def _read(engine: Engine, comparison_id: str) -> tuple[ComparisonSpec, list[Attempt]]:
    def read(session: Session) -> tuple[ComparisonSpec, list[Attempt]]:
        spec = ComparisonSpec.model_validate(comparisons.get(session, comparison_id).spec)
        return spec, lifecycle.attempts(session, comparison_id)

    return look_up(engine, read)


def _load(path: Path) -> NDArray[Any]:
    """A stored array, which stays in its file until it is read."""
    return np.load(path, mmap_mode="r", allow_pickle=False)
