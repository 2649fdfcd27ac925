import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from store.core.settings import Settings
from tests.support.images import CHECKOUT, Image, read_compose, read_dockerfile

COMPOSE = read_compose()
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
IMAGES = {path.name: read_dockerfile(path) for path in sorted((CHECKOUT / "docker").glob("*.Dockerfile"))}


@pytest.fixture(scope="module")
def schema() -> Draft7Validator:
    return Draft7Validator(json.loads((CHECKOUT / "tests/data/compose-spec/compose-spec.json").read_text("utf-8")))


def image_of(service: dict[str, Any]) -> Image | None:
    dockerfile = service.get("build", {}).get("dockerfile")
    return None if dockerfile is None else IMAGES[dockerfile.removeprefix("docker/")]


@pytest.mark.parametrize("name", ["docker-compose.yml", "docker/gpu.yml"])
def test_the_compose_files_follow_the_compose_specification(schema: Draft7Validator, name: str) -> None:
    assert [error.message for error in schema.iter_errors(read_compose(name))] == []


def test_the_schema_refuses_a_misspelt_field(schema: Draft7Validator) -> None:
    misspelt = COMPOSE | {"services": {"api": SERVICES["api"] | {"healthchek": {}}}}
    assert not schema.is_valid(misspelt)


def test_there_is_a_service_for_each_part() -> None:
    assert set(SERVICES) == {"api", "worker", "migrate", "postgres", "valkey", "s3"}


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "migrate"])
def test_every_server_has_a_health_check_and_comes_back_after_a_crash(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_runs_as_root(name: str) -> None:
    image = image_of(SERVICES[name])
    user = SERVICES[name].get("user") or (image.user if image else "root")
    assert user not in {"root", "0"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_secret_and_volume_that_a_service_uses_is_declared(name: str) -> None:
    assert set(SERVICES[name].get("secrets", [])) <= set(COMPOSE["secrets"])
    assert {volume.split(":")[0] for volume in SERVICES[name].get("volumes", [])} <= set(COMPOSE["volumes"])


@pytest.mark.parametrize("name", SERVICES)
def test_every_secret_file_that_is_named_is_mounted(name: str) -> None:
    files = {value for key, value in SERVICES[name].get("environment", {}).items() if key.endswith("_FILE")}
    files |= {word.partition("=")[2] for word in SERVICES[name].get("command", []) if "=/run/secrets/" in word}
    assert files == {f"/run/secrets/{secret}" for secret in SERVICES[name].get("secrets", [])}


def test_state_is_kept_in_the_volume_of_the_image() -> None:
    for name in ("api", "worker", "migrate"):
        image = image_of(SERVICES[name])
        assert image is not None
        assert SERVICES[name]["volumes"] == [f"state:{image.environment['GANCLINIC_HOME']}"]
        assert image.volumes == (image.environment["GANCLINIC_HOME"],)


def test_the_api_is_published_on_the_loopback_interface_and_nothing_else_is_published() -> None:
    assert SERVICES["api"]["ports"] == ["${GANCLINIC_BIND:-127.0.0.1}:8000:8000"]
    assert [name for name in SERVICES if "ports" in SERVICES[name]] == ["api"]


def test_an_s3_is_started_only_where_it_is_asked_for() -> None:
    assert SERVICES["s3"]["profiles"] == ["s3"]
    assert [name for name in SERVICES if "profiles" in SERVICES[name]] == ["s3"]
    image = SERVICES["s3"]["build"]["dockerfile_inline"].splitlines()[0]
    assert re.fullmatch(r"FROM \S+:\d+\.\d+", image), "a pinned version"


def test_without_settings_for_it_files_lie_in_the_home() -> None:
    for name in ("api", "worker", "migrate"):
        environment = SERVICES[name]["environment"]
        assert environment["GANCLINIC_STORE_URL"] == "${GANCLINIC_STORE_URL:-}"
    secrets = [secret for secret in COMPOSE["secrets"].values() if "file" in secret]
    assert [secret["file"].endswith(":-/dev/null}") for secret in secrets] == [True, True]


def test_empty_settings_of_a_bucket_are_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in SERVICES["worker"]["environment"].items():
        if value.endswith(":-}"):
            monkeypatch.setenv(name, "")
    secret = tmp_path / "secret"
    secret.touch()
    monkeypatch.setenv("GANCLINIC_S3_SECRET_FILE", str(secret))
    assert (Settings().store_url, Settings().s3_secret) == (None, None)


def test_services_wait_for_the_migrated_database() -> None:
    for name in ("api", "worker"):
        assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert SERVICES["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}


def test_every_variable_that_is_set_is_a_setting() -> None:
    known = {f"GANCLINIC_{name.upper()}" for name in Settings.model_fields} | {"GANCLINIC_TOKEN_FILE"}
    environments = [service.get("environment", {}) for service in SERVICES.values()]
    environments += [image.environment for image in IMAGES.values()]
    used = {name for environment in environments for name in environment if name.startswith("GANCLINIC_")}
    assert used <= known


@pytest.mark.parametrize("name", IMAGES)
def test_what_an_image_copies_exists_and_is_in_the_build_context(name: str) -> None:
    kept = {
        line.removeprefix("!").removesuffix("/")
        for line in (CHECKOUT / ".dockerignore").read_text("utf-8").splitlines()
        if line.startswith("!")
    }
    sources = [source for source, _ in IMAGES[name].copies]
    assert set(sources) <= kept
    assert [source for source in sources if not (CHECKOUT / source).exists()] == []
