"""`python -m worker`: trains queued runs, one at a time, until SIGTERM or SIGINT."""

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

from store.accounts import EQUAL, InvalidTokensFile, Sharing, read_accounts
from store.db import make_engine, require_migrated
from store.errors import DatabaseNotMigrated, DatabaseUnavailable
from store.log_lines import configure_logging
from store.settings import Settings, create_home
from worker.app import make_app, serve_bell
from worker.gpus import GpuReader
from worker.housekeeping import Housekeeping
from worker.slot import Slot
from worker.supervise import supervise

logger = logging.getLogger("worker")


def main(argv: list[str] | None = None) -> int:
    """Exit status 0 after a stop, 1 when the worker cannot work."""
    arguments = parse_arguments(argv)
    configure_logging(worker=arguments.name)
    try:
        settings = Settings(**({"device": arguments.device} if arguments.device else {}))
    except ValidationError as error:
        logger.error("%s", "; ".join(f"{e['loc'][0]}: {e['msg']}" for e in error.errors(include_input=False)))
        return 1
    configure_logging(settings.log_format, secrets=settings.secrets, worker=arguments.name)
    create_home(settings.home)
    engine = make_engine(settings.database)
    try:
        require_migrated(engine)
        sharing = read_accounts(settings.tokens_file).sharing
        return work(arguments.name, engine=engine, settings=settings, sharing=sharing)
    except (DatabaseNotMigrated, DatabaseUnavailable, InvalidTokensFile) as error:
        logger.error("%s", error)
        return 1
    finally:
        engine.dispose()


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """The command line's `device` (None: the setting) and `name`."""
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__)
    parser.add_argument("--device", help="auto, cpu, cuda or cuda:N (default: GANCLINIC_DEVICE, else auto)")
    parser.add_argument(
        "--name",
        default=f"worker-{os.getpid()}@{socket.gethostname()}",
        help="name in logs and in the attempts of runs, one a worker (default: %(default)s)",
    )
    return parser.parse_args(argv)


def work(name: str, *, engine: Engine, settings: Settings, sharing: Sharing = EQUAL) -> int:
    """Trains in a thread and hears the bell in this one, which must be the main thread; the exit status."""
    train = partial(supervise, engine=engine, settings=settings)
    housekeeping = Housekeeping(engine=engine, settings=settings)
    slot = Slot(name, train, engine=engine, settings=settings, sharing=sharing, when_idle=housekeeping.begin_if_due)
    _take_signals(slot)
    setup_logging.connect(_keep_logging, weak=False)
    warnings.simplefilter("ignore", SecurityWarning)  # on root: its reason is pickle, which is not accepted
    thread = _SlotThread(slot)
    thread.start()
    reader = GpuReader(name, engine)
    reader.start()
    logger.info("ready for runs on device %s", settings.device)
    try:
        serve_bell(make_app(settings, slot.wake), name)
    except SystemExit:
        logger.info("stopped while starting")
    finally:
        was_told = slot.is_stopping()  # else Celery gave up
        slot.stop()
        thread.join()
        reader.stop()
    return 0 if was_told and not thread.has_failed else 1


def _take_signals(slot: Slot) -> None:
    """Stops the slot as soon as a signal comes, before and after Celery begins to answer signals."""

    def stop_and_exit(*_: object) -> None:
        slot.stop()
        sys.exit(0)

    def stop(**_: object) -> None:
        slot.stop()

    signal.signal(signal.SIGTERM, stop_and_exit)
    signal.signal(signal.SIGINT, stop_and_exit)
    worker_shutting_down.connect(stop, weak=False)


def _keep_logging(**_: object) -> None:
    """A receiver of `setup_logging` keeps Celery from setting it up."""


class _SlotThread(threading.Thread):
    """Runs the slot. When that fails, the whole worker ends: without its slot it would only look alive."""

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
