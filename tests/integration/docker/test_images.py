"""The images' commands, as plain processes: there need be no container engine where the tests run.

Not run: `docker build` itself, the base images, the making of the user and its directory, and the healthchecks of
PostgreSQL's and Valkey's own images.
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support.distributions import closure
from tests.support.images import CHECKOUT, Image, lay_out, read_compose, read_dockerfile
from tests.support.processes import free_port, running

SERVICES: dict[str, dict[str, Any]] = read_compose()["services"]
IMAGES = {name: read_dockerfile(CHECKOUT / f"docker/{name}.Dockerfile") for name in ("api", "worker")}
TOKEN = "a token from a secret"
NOT_IN_THE_API_IMAGE = ("mlxtend", "safetensors", "sklearn", "torch", "torchvision")


# --- what they install ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", IMAGES)
def test_the_install_commands_hold_with_the_pinned_versions(name: str, tmp_path: Path) -> None:
    # Everything is installed here with the same pins, so pip has to find every requirement met.
    lay_out(IMAGES[name], tmp_path)
    commands = IMAGES[name].pip_installs
    assert len(commands) == 3
    for arguments in commands:
        pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", *arguments]
        done = subprocess.run(pip, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert set(re.findall(r"^Would install (.*)$", done.stdout, re.MULTILINE)) <= {"ganclinic-0.1.0"}


def extras_of(image: Image) -> list[str]:
    (extras,) = re.findall(r"\.\[([a-z,]+)\]", " ".join(word for words in image.pip_installs for word in words))
    return extras.split(",")


def test_the_api_image_has_no_torch_and_the_worker_image_has() -> None:
    assert not closure(extras_of(IMAGES["api"])) & {"torch", "torchvision", "scikit-learn", "safetensors"}
    assert closure(extras_of(IMAGES["worker"])) >= {"torch", "torchvision", "scikit-learn", "celery", "sqlalchemy"}


# --- what they start --------------------------------------------------------------------------------------------


def _interpolated(value: str) -> str:
    """As compose has it where none of its variables are set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


class Host:
    """Stands for the containers: lays the images out in folders and runs their commands there."""

    def __init__(self, folder: Path, *, database_url: str, broker_url: str) -> None:
        self.folder = folder
        self.port = free_port()
        self._replaced = {"GANCLINIC_DATABASE_URL": database_url, "GANCLINIC_BROKER_URL": broker_url}
        self._secrets = folder / "secrets"
        self._secrets.mkdir()
        (self._secrets / "api_token").write_text(TOKEN)
        (self._secrets / "s3_secret").write_text("")
        (self._secrets / "postgres_password").write_text("not asked for on the socket")
        for name, image in IMAGES.items():
            lay_out(image, folder / name)
        absent = folder / "absent"
        for module in NOT_IN_THE_API_IMAGE:
            (absent / module).mkdir(parents=True)
            (absent / module / "__init__.py").write_text("raise ImportError('not in this image')\n")
        self._absent = absent

    def image(self, service: str) -> str:
        return Path(SERVICES[service]["build"]["dockerfile"]).name.removesuffix(".Dockerfile")

    def environment(self, service: str) -> dict[str, str]:
        """What the image and the compose file set, with the addresses of this test's servers."""
        said = IMAGES[self.image(service)].environment | SERVICES[service]["environment"]
        moved = {name: _interpolated(value).replace("/run/secrets", str(self._secrets)) for name, value in said.items()}
        own = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}/usr/bin:/bin",
            "GANCLINIC_HOME": str(self.folder / "state"),
            "GANCLINIC_HOST": "127.0.0.1",  # the images listen on all addresses, a test must not
            "GANCLINIC_PORT": str(self.port),
            "GANCLINIC_DEVICE": "cpu",
            "GANCLINIC_THREADS": "1",
        }
        if self.image(service) == "api":
            own["PYTHONPATH"] = str(self._absent)
        return moved | self._replaced | own

    def command(self, service: str) -> list[str]:
        image = IMAGES[self.image(service)]
        command = [*image.entrypoint, *SERVICES[service].get("command", image.command)]
        return [word.replace(image.workdir, str(self.folder / self.image(service))) for word in command]

    def run(self, service: str, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder / self.image(service),
            env=self.environment(service),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def is_healthy(self, service: str) -> bool:
        """Whether the compose file's own health check says so."""
        kind, *check = SERVICES[service]["healthcheck"]["test"]
        assert kind == "CMD"
        return self.run(service, [word.replace(":8000/", f":{self.port}/") for word in check]).returncode == 0

    def started(self, service: str) -> Any:
        return running(
            self.command(service),
            log=self.folder / f"{service}.log",
            ready=lambda: self.is_healthy(service),
            timeout_s=120,
            cwd=self.folder / self.image(service),
            env=self.environment(service),
        )

    def call(self, path: str, document: dict[str, Any] | None = None, *, token: str = TOKEN) -> dict[str, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v1/{path}",
            data=None if document is None else json.dumps(document).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)


@pytest.fixture
def host(tmp_path: Path, postgres_url: str, broker_url: str) -> Host:
    return Host(tmp_path, database_url=postgres_url, broker_url=broker_url)


def test_the_api_does_not_start_before_the_migration(host: Host) -> None:
    done = host.run("api", host.command("api"))
    assert done.returncode == 1
    assert "python -m store.migrate" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)  # three processes that import much, on a machine that may be busy
def test_the_images_commands_make_a_service_that_trains_a_run(host: Host) -> None:
    migrated = host.run("migrate", host.command("migrate"))
    assert migrated.returncode == 0, migrated.stderr
    with host.started("api"), host.started("worker"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            host.call("runs", token="another")
        spec = {"dataset": {"name": "ring8", "size": 200}, "generator": {"family": "mlp", "width": 8}}
        spec |= {"discriminator": {"family": "mlp", "width": 8}}
        spec |= {"training": {"epochs": 1, "steps_per_epoch": 2, "batch_size": 16}}
        run = host.call("runs", {"spec": spec})
        seen = wait_until_final(host, run["id"])
    assert seen["status"] == "succeeded", seen["error"]


def wait_until_final(host: Host, run_id: str) -> dict[str, Any]:
    """The run once it has ended; the test's own time limit ends the waiting."""
    while True:
        run = host.call(f"runs/{run_id}")
        if run["status"] in {"succeeded", "failed", "cancelled"}:
            return run
        time.sleep(0.1)


def test_the_entrypoint_hands_secrets_over_as_the_variables_that_are_read(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one\n")
    (tmp_path / "password").write_text("two\n")
    files = {
        "GANCLINIC_TOKEN_FILE": str(tmp_path / "token"),
        "POSTGRES_PASSWORD_FILE": str(tmp_path / "password"),
        "PATH": "/usr/bin:/bin",
    }
    done = subprocess.run(
        [CHECKOUT / "docker/entrypoint.sh", "env"], env=files, capture_output=True, text=True, check=True
    )
    seen = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert seen["GANCLINIC_TOKEN"] == "one"
    assert seen["PGPASSWORD"] == "two"
    assert not set(files) & set(seen) - {"PATH"}


def test_the_entrypoint_stops_when_a_secret_is_missing(tmp_path: Path) -> None:
    files = {"GANCLINIC_TOKEN_FILE": str(tmp_path / "missing"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([CHECKOUT / "docker/entrypoint.sh", "true"], env=files, capture_output=True, check=False)
    assert done.returncode != 0
