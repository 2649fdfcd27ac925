import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import make_url

from store.core.settings import Settings, create_home, read_or_create_token


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_everything_has_a_default_below_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings()
    home = tmp_path / ".ganclinic"
    assert settings.home == home
    assert settings.database == f"sqlite:///{home}/ganclinic.db"
    assert settings.broker == f"redis+socket://{home}/run/broker.sock"
    assert (settings.data, settings.artifacts) == (home / "data", home / "artifacts")
    assert (settings.checkpoints, settings.logs) == (home / "checkpoints", home / "logs")
    assert (settings.uploads, settings.cache) == (home / "uploads", home / "cache")
    assert (settings.max_upload_bytes, settings.max_unpacked_bytes) == (2**30, 2**31)
    assert not home.exists()


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "HOME": str(tmp_path),
        "DATABASE_URL": "postgresql://db/clinic",
        "BROKER_URL": "redis://broker",
        "DATA_DIR": "/data",
        "TOKEN": "correct-horse",
        "PORT": "9000",
        "LEASE_DURATION": "90",
        "POLL_INTERVAL": "0.5",
        "DEVICE": "cuda:1",
        "THREADS": "2",
        "WORKER_LABELS": "h100, fast",
    }.items():
        monkeypatch.setenv(f"GANCLINIC_{name}", value)
    settings = Settings()
    assert (settings.database, settings.broker, settings.data) == (
        "postgresql://db/clinic",
        "redis://broker",
        Path("/data"),
    )
    assert (settings.port, settings.device, settings.threads) == (9000, "cuda:1", 2)
    assert settings.worker_labels == ("fast", "h100")
    assert (settings.lease_duration, settings.poll_interval) == (timedelta(seconds=90), timedelta(seconds=0.5))
    assert settings.token is not None
    assert settings.token.get_secret_value() == "correct-horse"
    assert "correct-horse" not in repr(settings)


def test_an_empty_variable_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANCLINIC_THREADS", "")
    monkeypatch.setenv("GANCLINIC_DATABASE_URL", "")
    settings = Settings()
    assert settings.threads is None
    assert settings.database.startswith("sqlite:///")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEASE_DURATION", "0"),
        ("LEASE_DURATION", "soon"),
        ("POLL_INTERVAL", "-1"),
        ("DEVICE", "tpu"),
        ("THREADS", "0"),
        ("DATABASE_URL", "mysql://db/clinic"),
        ("DATABASE_URL", "sqlite://"),
        ("BROKER_URL", "localhost:6379"),
    ],
)
def test_settings_that_cannot_work_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"GANCLINIC_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        Settings()


def test_a_lease_that_ends_before_the_second_heartbeat_is_refused() -> None:
    with pytest.raises(ValidationError, match="lease_duration"):
        Settings(lease_duration=timedelta(seconds=19), heartbeat_interval=timedelta(seconds=10))


@pytest.mark.parametrize("name", ["heartbeat_interval", "poll_interval"])
def test_a_worker_that_would_count_as_dead_while_it_is_well_is_refused(name: str) -> None:
    longer: dict[str, Any] = {"lease_duration": timedelta(minutes=5), name: timedelta(seconds=15)}
    assert Settings(**longer)
    longer[name] = timedelta(seconds=15.5)
    with pytest.raises(
        ValidationError, match=f"{name}: 15.5 s is too long, .* 30 s; .*heartbeat_interval and poll_int"
    ):
        Settings(**longer)


def test_passwords_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANCLINIC_BROKER_URL", "redis://:hunter2@broker")
    monkeypatch.setenv("GANCLINIC_DATABASE_URL", "postgresql://me:hunter2@db/clinic")
    assert "hunter2" not in repr(Settings())
    monkeypatch.setenv("GANCLINIC_DATABASE_URL", "mysql://me:hunter2@db/clinic")
    with pytest.raises(ValidationError, match="database_url") as caught:
        Settings()
    assert "hunter2" not in str(caught.value)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("name", ["with space", "50%", "a?b#c", "ünï"])
def test_a_home_of_any_name_gives_a_database_in_it(tmp_path: Path, name: str) -> None:
    settings = Settings(home=tmp_path / name)
    assert make_url(settings.database).database == str(tmp_path / name / "ganclinic.db")


def test_the_home_is_for_its_owner_only(tmp_path: Path) -> None:
    home = create_home(tmp_path / "deep" / "home")
    assert mode(home) == 0o700
    assert create_home(home) == home


def test_the_token_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    home = tmp_path / "home"
    token = read_or_create_token(home)
    assert len(token.get_secret_value()) >= 32
    assert read_or_create_token(home) == token
    assert mode(home / "token") == 0o600
    assert [path.name for path in home.iterdir()] == ["token"]


def test_a_token_that_a_person_wrote_is_used(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a-word-of-my-own\n")
    assert read_or_create_token(tmp_path).get_secret_value() == "a-word-of-my-own"


def test_everyone_who_starts_at_once_gets_the_same_token(tmp_path: Path) -> None:
    starters, rounds = 4, 25
    barrier = Barrier(starters)

    def start(_: int) -> list[str]:
        tokens: list[str] = []
        for number in range(rounds):
            barrier.wait()
            tokens.append(read_or_create_token(tmp_path / str(number)).get_secret_value())
        return tokens

    with ThreadPoolExecutor(starters) as pool:
        first, *others = pool.map(start, range(starters))
    assert others == [first] * (starters - 1)
    assert len(set(first)) == rounds


@pytest.mark.parametrize("labels", ["h100,", "h 100", '["h100"]', ",".join(f"l{n}" for n in range(9))])
def test_labels_of_a_worker_that_are_none_are_refused(monkeypatch: pytest.MonkeyPatch, labels: str) -> None:
    monkeypatch.setenv("GANCLINIC_WORKER_LABELS", labels)
    with pytest.raises(ValidationError, match=r"worker_labels"):
        Settings()


# --- a bucket ---------------------------------------------------------------------------------------------------


def test_the_secret_of_a_bucket_comes_from_a_file_and_is_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("correct-horse\n")
    settings = Settings(store_url="s3://clinic/runs", s3_access_key="clinic", s3_secret_file=file)
    assert settings.s3_secret is not None
    assert settings.s3_secret.get_secret_value() == "correct-horse"
    assert "correct-horse" in settings.secrets
    assert "correct-horse" not in repr(settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"store_url": "s3://clinic"}, "a bucket needs a key; set GANCLINIC_S3_ACCESS_KEY"),
        ({"store_url": "s3://clinic", "s3_access_key": "clinic"}, "GANCLINIC_S3_SECRET_FILE"),
        ({"store_url": "s3://clinic", "s3_access_key": "a", "s3_secret_file": Path("/nowhere")}, "s3_secret_file"),
        ({"store_url": "gs://clinic"}, "store_url"),
        ({"store_url": "s3://clinic/../other"}, "store_url"),
        ({"s3_endpoint": "https://key:secret@s3.example"}, "s3_endpoint"),
    ],
)
def test_a_bucket_that_cannot_be_reached_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Settings(**settings)
