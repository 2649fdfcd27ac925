"""`python -m worker`: trains queued runs, as many at a time as it has slots, until SIGTERM or SIGINT."""

import argparse
import logging
import os
import signal
import socket
import sys
import threading
import warnings
from functools import partial

from celery.platforms import SecurityWarning
from celery.signals import setup_logging, worker_shutting_down
from pydantic import ValidationError
from sqlalchemy import Engine

from store.core.db import WORKER_CONNECTIONS, make_engine, require_migrated
from store.core.errors import DatabaseNotMigrated, DatabaseUnavailable
from store.core.settings import Settings, create_home, describe_invalid
from store.operations.logging import configure_logging
from store.operations.tracing import configure_tracing, stop_tracing
from store.scheduling.accounts import EQUAL, InvalidTokensFile, Sharing, read_accounts
from worker.gpus import GpuReader
from worker.group_folders import sweep
from worker.host.app import make_app, serve_bell
from worker.host.bf16 import Bf16Speedup
from worker.host.gpu_allocator import NoSuchGpu, make_allocator
from worker.host.housekeeping import Housekeeping
from worker.host.preemption import Preemption
from worker.host.slot import Slot, Slots, make_slots
from worker.host.spare import Spare
from worker.host.supervise import TRAINING, supervise

logger = logging.getLogger("worker")


def main(argv: list[str] | None = None) -> int:
    """Exit status 0 after a stop, 1 when the worker cannot work."""
    arguments = parse_arguments(argv)
    configure_logging(worker=arguments.name)
    try:
        given = {name: getattr(arguments, name) for name in ("device", "gpus", "slots_per_gpu", "worker_labels")}
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        logger.error("%s", describe_invalid(error))
        return 1
    configure_logging(settings.log_format, secrets=settings.secrets, worker=arguments.name)
    create_home(settings.home)
    configure_tracing("ganclinic-worker", settings)
    engine = make_engine(settings.database, connections=WORKER_CONNECTIONS)
    try:
        require_migrated(engine)
        sharing = read_accounts(settings.tokens_file).sharing
        return work(arguments.name, engine=engine, settings=settings, sharing=sharing)
    except (DatabaseNotMigrated, DatabaseUnavailable, InvalidTokensFile, NoSuchGpu) as error:
        logger.error("%s", error)
        return 1
    finally:
        engine.dispose()
        stop_tracing()


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """The command line's `device`, `gpus`, `slots_per_gpu` and `worker_labels` (None: the setting), and `name`."""
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__)
    parser.add_argument("--device", help="auto, cpu, cuda or cuda:N (default: GANCLINIC_DEVICE, else auto)")
    parser.add_argument("--gpus", help="all, or numbers as 0,2: train on each of them (default: GANCLINIC_GPUS)")
    parser.add_argument(
        "--slots-per-gpu",
        type=int,
        metavar="N",
        help="runs that may share a GPU, where their resources.gpu_memory_gb allows (default: 1)",
    )
    parser.add_argument(
        "--label",
        action="append",
        metavar="NAME",
        dest="worker_labels",
        help="a label that runs may ask for in resources.labels; may be given again (default: GANCLINIC_WORKER_LABELS)",
    )
    parser.add_argument(
        "--name",
        default=f"worker-{os.getpid()}@{socket.gethostname()}",
        help="name in logs and in the attempts of runs, one a worker (default: %(default)s)",
    )
    return parser.parse_args(argv)


def work(name: str, *, engine: Engine, settings: Settings, sharing: Sharing = EQUAL) -> int:
    """Trains in a thread a slot and hears the bell in this one, which must be the main thread; the exit status.

    Raises:
        NoSuchGpu: the settings name one that is not there.
    """
    spare = Spare(TRAINING, is_wanted=settings.spare_training)
    train = partial(supervise, engine=engine, settings=settings, spare=spare)
    housekeeping = Housekeeping(engine=engine, settings=settings)
    preemption = Preemption(engine=engine, settings=settings, sharing=sharing)
    allocator = make_allocator(name, settings)
    for folder in sweep(engine, settings.home):
        logger.info("deleted what %s left behind", folder)
    count = max(1, settings.slots_per_gpu * allocator.gpus)
    slots = make_slots(
        name,
        count,
        train,
        engine=engine,
        settings=settings,
        sharing=sharing,
        allocator=allocator,
        on_idle=spare.prepare,
    )
    _take_signals(slots)
    setup_logging.connect(_keep_logging, weak=False)
    warnings.simplefilter("ignore", SecurityWarning)  # on root: its reason is pickle, which is not accepted
    threads = [_SlotThread(slot) for slot in slots.slots]
    for thread in threads:
        thread.start()
    reader = GpuReader(name, engine)
    reader.start()
    bf16 = Bf16Speedup(allocator)
    bf16.start()
    housekeeping.start()
    preemption.start()
    logger.info("ready for runs: %s", allocator)
    try:
        serve_bell(make_app(settings, slots.wake), name)
    except SystemExit:
        logger.info("stopped while starting")
    finally:
        was_told = slots.is_stopping()  # else Celery gave up
        slots.stop()
        for thread in threads:
            thread.join()
        spare.stop()
        housekeeping.stop()
        preemption.stop()
        reader.stop()
        bf16.stop()
    return 0 if was_told and not any(thread.has_failed for thread in threads) else 1


def _take_signals(slots: Slots) -> None:
    """Stops the slots as soon as a signal comes, before and after Celery begins to answer signals."""

    def stop_and_exit(*_: object) -> None:
        slots.stop()
        sys.exit(0)

    def stop(**_: object) -> None:
        slots.stop()

    signal.signal(signal.SIGTERM, stop_and_exit)
    signal.signal(signal.SIGINT, stop_and_exit)
    worker_shutting_down.connect(stop, weak=False)


def _keep_logging(**_: object) -> None:
    """A receiver of `setup_logging` keeps Celery from setting it up."""


class _SlotThread(threading.Thread):
    """Runs a slot. When that fails, the whole worker ends: without its slot it would only look alive."""

    def __init__(self, slot: Slot) -> None:
        super().__init__(name="slot")
        self._slot = slot
        self.has_failed = False

    def run(self) -> None:
        try:
            self._slot.run()
        except BaseException:
            self.has_failed = True
            os.kill(os.getpid(), signal.SIGTERM)
            raise


if __name__ == "__main__":
    sys.exit(main())
