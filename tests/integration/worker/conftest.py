"""Fixtures for tests of attempts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from store.core.db import make_engine, upgrade
from tests.support.scene import Scene


@pytest.fixture
def scene(sqlite_url: str, tmp_path: Path) -> Iterator[Scene]:
    engine = make_engine(sqlite_url)
    upgrade(engine)
    yield Scene(engine, tmp_path)
    engine.dispose()
