"""Secrets that are none: the service does not start with them, and a token that is empty is nobody's."""

import hashlib
import subprocess
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr, ValidationError

from api.app import create_app
from store.core.settings import Settings, describe_invalid
from store.scheduling.accounts import InvalidTokensFile, read_accounts
from tests.support.api import TEST_HOST
from tests.support.api_process import environment_of, migrate, refusal
from tests.support.images import CHECKOUT, read_compose

GUESSED = {
    "": "is empty",
    " ": "is empty",
    "short": "has only 5 characters",
    "changeme": "is made of words that stand in examples",
    "change-me-12345": "is made of words that stand in examples",
    "ChangeMe-ChangeMe": "is made of words that stand in examples",
    "password12345": "is made of words that stand in examples",
    "secret-token-2026": "is made of words that stand in examples",
    "aaaaaaaaaaaaaaaaaaaa": "repeats the same few characters",
    "ganclinic-ganclinic": "is made of words that stand in examples",
    "correct-horse-battery-staple ": "begins or ends with a blank, which no request can send",
}
CURE = "; set at least 12 characters that nobody can guess, as `openssl rand -hex 24` prints"


@pytest.mark.parametrize("field", ["token", "metrics_token"])
@pytest.mark.parametrize(("text", "said"), GUESSED.items())
def test_no_token_that_can_be_guessed_is_a_setting(tmp_path: Path, field: str, text: str, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"home": tmp_path, field: text})
    assert describe_invalid(caught.value) == f"{field}: {said}{CURE}"
    assert len(text.strip()) < 6 or text not in str(caught.value)


def test_an_empty_variable_is_no_token_and_one_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GANCLINIC_TOKEN", "GANCLINIC_METRICS_TOKEN"):
        monkeypatch.setenv(name, "")
    assert (Settings().token, Settings().metrics_token) == (None, None)


@pytest.mark.parametrize("name", ["TOKEN", "METRICS_TOKEN"])
def test_the_service_does_not_start_with_a_default_token(sqlite_url: str, tmp_path: Path, name: str) -> None:
    environment = environment_of(sqlite_url, tmp_path, **{f"GANCLINIC_{name}": "changeme"})
    migrate(environment)
    assert f"{name.lower()}: is made of words that stand in examples" in refusal(environment)


@pytest.mark.parametrize(
    ("text", "what"),
    [("", "is empty"), ("\n", "is empty"), ("changeme\n", "is made of words that stand in examples")],
)
def test_the_service_does_not_start_with_a_token_file_that_holds_none(
    sqlite_url: str, tmp_path: Path, text: str, what: str
) -> None:
    environment = environment_of(sqlite_url, tmp_path)
    file = Path(environment["GANCLINIC_HOME"], "token")
    file.parent.mkdir()
    file.write_text(text)
    migrate(environment)
    assert refusal(environment) == f"{file}: the token {what}{CURE}; or delete the file, and one is made\n"


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer    ", "bearer \t", ""])
def test_an_empty_token_is_nobodys(tmp_path: Path, header: str) -> None:
    settings = Settings(home=tmp_path, token=SecretStr("correct-horse-battery"), allowed_hosts=(TEST_HOST,))
    unset = settings.model_copy(update={"token": SecretStr(""), "metrics_token": SecretStr("")})
    for made in (settings, unset.model_copy(update={"token": SecretStr("")})):
        client = TestClient(create_app(made), headers={"Authorization": header})
        for path in ("/v1/presets", "/metrics"):
            assert client.get(path).status_code == 401


def test_the_hash_of_an_empty_token_is_refused_in_the_tokens_file(tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    file.write_text(f'[[users]]\nname = "eve"\ntoken_sha256 = "{hashlib.sha256(b"").hexdigest()}"\n')
    file.chmod(0o600)
    with pytest.raises(InvalidTokensFile, match=r"users\[0\]\.token_sha256: .*empty"):
        read_accounts(file)


# --- docker compose ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["GANCLINIC_TOKEN", "POSTGRES_PASSWORD"])
@pytest.mark.parametrize(
    ("text", "what"),
    [("", "is empty"), ("\n", "is empty")]
    + [(word, "is a word that stands in examples") for word in ("changeme", "password\n", "postgres", "ganclinic")],
)
def test_no_container_starts_with_a_secret_that_is_none(tmp_path: Path, name: str, text: str, what: str) -> None:
    (tmp_path / "secret").write_text(text)
    environment = {f"{name}_FILE": str(tmp_path / "secret"), "PATH": "/usr/bin:/bin"}
    command = [CHECKOUT / "docker/entrypoint.sh", "echo", "started"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{name} {what}; set one that nobody can guess in .env, as `make compose-env` does\n"


def test_the_compose_file_itself_holds_no_secret() -> None:
    compose = read_compose()
    assert compose["secrets"]["postgres_password"] == {"environment": "POSTGRES_PASSWORD"}
    assert compose["secrets"]["api_token"] == {"environment": "GANCLINIC_TOKEN"}
    for service in compose["services"].values():
        for variable, value in service.get("environment", {}).items():
            is_secret = variable.endswith(("PASSWORD", "TOKEN", "SECRET_KEY"))
            assert not is_secret or value == f"${{{variable}:-}}", variable
