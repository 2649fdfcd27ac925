"""A service with runs that were really trained, and a Chromium in front of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from store.core.db import make_engine, transaction, upgrade
from store.runs import lifecycle
from tests.support.browser import chromium, require_pages
from tests.support.processes import free_port
from tests.support.worker import Clinic, queue_run

TOKEN = "correct-horse-battery-staple"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"
IMAGES: dict[str, Any] = {
    "seed": 7,
    "dataset": {"name": "polygons", "size": 200},
    "generator": {"family": "mlp", "width": 16, "latent_dim": 8},
    "discriminator": {"family": "mlp", "width": 16},
    "training": {"epochs": 8, "steps_per_epoch": 30, "batch_size": 32},
    "evaluation": {"num_samples": 100},
}
SICK = {"optimizer.learning_rate": 0.5}
"""The discriminator wins."""
LONG = {"training.epochs": 5000}


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A running service and the runs in it."""

    clinic: Clinic
    url: str
    sick: str
    hostile: str
    """Is named as a script, and was cancelled."""


@pytest.fixture
def browser() -> Iterator[Browser]:
    """A Chromium of the test's own: while there is one, an event loop runs in the thread that other tests need."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The service, once a run is trained; its worker goes on."""
    require_pages()
    home = tmp_path_factory.mktemp("house")
    url = f"sqlite:///{home / 'ganclinic.db'}"
    engine = make_engine(url)
    upgrade(engine)
    clinic = Clinic(home=home, engine=engine, database_url=url)
    sick = queue_run(engine, IMAGES, SICK, name="polygons, learning rate .5")
    hostile = queue_run(engine, IMAGES, {}, name=HOSTILE)
    with transaction(engine) as session:
        lifecycle.cancel(session, hostile)
    port = free_port()
    with clinic.api(port), clinic.worker():
        assert clinic.wait_for_end(sick).status == "succeeded"
        yield House(clinic=clinic, url=f"http://127.0.0.1:{port}", sick=sick, hostile=hostile)
    engine.dispose()


@pytest.fixture
def empty(browser: Browser, sqlite_url: str, tmp_path: Path) -> Iterator[Clinic]:
    """A service's home and database without runs; nothing is started."""
    engine = make_engine(sqlite_url)
    upgrade(engine)
    yield Clinic(home=tmp_path, engine=engine, database_url=sqlite_url)
    engine.dispose()
