"""Every command of the README, run as a newcomer would: `make demo` and `make test` themselves are CI's."""

import io
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganclinic.request import batch_from
from tests.support.processes import running

CHECKOUT = Path(__file__).parents[2]
README = (CHECKOUT / "README.md").read_text("utf-8")
QUICK = " --set training.epochs=1 --set training.steps_per_epoch=2"
CALLED_BY_CI = {"make demo", "make test"}
HERE = {"make serve", "export GANCLINIC_DATABASE_URL", "export GANCLINIC_BROKER_URL"}
"""Done by this file's fixtures: the service is started with the command behind `make serve`."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[str]:
    lines = "".join(blocks("sh")).replace("\\\n", " ").splitlines()
    return [line for line in lines if line and line not in CALLED_BY_CI]


def environ(home: Path, **settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GANCLINIC_")}
    quiet = {"XDG_CONFIG_HOME": str(home), "CUDA_VISIBLE_DEVICES": "", "GANCLINIC_THREADS": "1"}
    return kept | quiet | {"PYTHONPATH": str(CHECKOUT), "GANCLINIC_HOME": str(home / ".ganclinic")} | settings


def shell(line: str, cwd: Path, env: dict[str, str]) -> str:
    """The line's output; its programs are those of this test run."""
    programs = {"ganclinic": f"{sys.executable} -m ganclinic", "python": sys.executable}
    line = re.sub(r"\.venv/bin/(ganclinic|python)", lambda found: programs[found[1]], line)
    done = subprocess.run(["bash", "-c", line], cwd=cwd, env=env, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """URL of a service that was started as `make serve` starts it, in `tmp_path`."""
    command = [sys.executable, "-m", "ganclinic", "up", "--port", "0", "--workers", "1"]
    with (tmp_path / "up.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=environ(tmp_path), stdout=log, stderr=log)
    announced = tmp_path / ".ganclinic" / "service.json"
    deadline = time.monotonic() + 60
    while not announced.exists():
        assert process.poll() is None, (tmp_path / "up.log").read_text()
        assert time.monotonic() < deadline, (tmp_path / "up.log").read_text()
        time.sleep(0.1)
    yield re.findall(r"http://[0-9.:]+", announced.read_text())[0]
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0


@pytest.mark.timeout(600)
def test_the_first_runs_are_healthy_and_sick_as_the_readme_says(served, tmp_path):
    healthy, sick = [line for line in commands() if "run ring8-" in line]
    env = environ(tmp_path, GANCLINIC_URL=served)
    assert re.search(r"succeeded: healthy +\(", shell(healthy, tmp_path, env))
    assert re.search(r"succeeded: .*, severe", shell(sick, tmp_path, env))


def test_the_commands_that_talk_to_a_service_do_what_they_say(served, tmp_path):
    (tmp_path / "mine.toml").write_text(blocks("toml")[0])
    found = [line for line in commands() if "mine.toml" in line or "presets" in line or " ls" in line or "curl" in line]
    said = [line.replace("http://127.0.0.1:8000", served) for line in found if "/ID/" not in line]
    assert len(said) == 4
    env = environ(tmp_path)
    outputs = {line: shell(line, tmp_path, env) for line in said}
    [run_id] = re.findall(r"ganclinic show ([0-9a-f]{16})", outputs[".venv/bin/ganclinic run mine.toml --watch"])
    for line in (line for line in found if "/ID/" in line):
        shell(line.replace("http://127.0.0.1:8000", served).replace("/ID/", f"/{run_id}/"), tmp_path, env)
    for picture in ("samples.png", "losses.png"):
        Image.open(tmp_path / picture).verify()
    assert "digit8-latent-1" in outputs[".venv/bin/ganclinic presets"]
    assert "succeeded" in outputs[".venv/bin/ganclinic ls"]
    [preset_run] = [line for line in commands() if "run digit8" in line]
    shell(preset_run + QUICK, tmp_path, env)


def test_both_examples_of_a_batch_are_batches(tmp_path):
    [json_example] = re.findall(r'in JSON: `(\{"name".*?)`\.\n', README)
    for name, text in (("two.toml", blocks("toml")[1]), ("two.json", json_example)):
        (tmp_path / name).write_text(text)
        batch, requests = batch_from(tmp_path / name)
        assert batch == "two latents"
        assert [request.resolve().dataset.name for request in requests] == ["mnist-5k"] * len(requests)


def test_two_sets_of_samples_are_compared(served, tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "real.npy", rng.integers(0, 256, (60, 8, 8, 3), np.uint8))
    with zipfile.ZipFile(tmp_path / "fake.zip", "w") as archive:
        for number in range(60):
            picture = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(picture, format="PNG")
            archive.writestr(f"fakes/{number}.png", picture.getvalue())
    waited, queued = [line for line in commands() if "ganclinic compare" in line]
    env = environ(tmp_path, GANCLINIC_URL=served)
    assert re.search(r"^precision +\S+ +\S+ \(\S+ to \S+\)", shell(waited, tmp_path, env), re.MULTILINE)
    shell(queued, tmp_path, env)


def test_pictures_are_uploaded_and_trained_on(served, tmp_path):
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        for number in range(60):
            picture = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (30 + number, 40, 3), np.uint8)).save(picture, format="JPEG")
            archive.writestr(f"{number % 2}/{number}.jpg", picture.getvalue())
    (tmp_path / "points.toml").write_text(blocks("toml")[0])
    env = environ(tmp_path, GANCLINIC_URL=served)
    upload, listed, _ = [line for line in commands() if "ganclinic upload" in line]
    upload_id = shell(upload, tmp_path, env).strip()
    assert upload_id in shell(listed, tmp_path, env)
    [setting] = [found.replace("ID", upload_id) for found in re.findall(r"`(--set 'dataset=.*?')`", README)]
    small = " --set training.batch_size=16 --set training.epochs=1 --set training.steps_per_epoch=2"
    assert "succeeded" in shell(f".venv/bin/ganclinic run points.toml {setting}{small} --watch", tmp_path, env)


def test_pairs_are_uploaded_and_trained_on(served, tmp_path):
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(tmp_path / "pairs.zip", "w") as archive:
        for number in range(150):
            for name, shape in ((f"A/{number}.png", (20, 24)), (f"B/{number}.jpg", (20, 24, 3))):
                picture = io.BytesIO()
                kind = "PNG" if name.endswith("png") else "JPEG"
                Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(picture, format=kind)
                archive.writestr(name, picture.getvalue())
    env = environ(tmp_path, GANCLINIC_URL=served)
    [upload] = [line for line in commands() if "--pairs" in line]
    upload_id = shell(upload, tmp_path, env).strip()
    [run] = [line for line in commands() if "upload-pairs" in line]
    assert "succeeded" in shell(run.replace('"ID"', f'"{upload_id}"') + QUICK + " --watch", tmp_path, env)


def test_the_log_of_another_trainer_is_diagnosed(tmp_path):
    (tmp_path / "history.csv").write_text(blocks("csv")[0])
    rng = np.random.default_rng(0)
    for name in ("fakes", "real"):
        np.savez(tmp_path / f"{name}.npz", rng.random((60, 8, 8), np.float32))
    alone, beside_reals = [line for line in commands() if "ganclinic diagnose" in line]
    env = environ(tmp_path)
    assert re.search(r"^divergence, severe, first seen in epoch 1$", shell(alone, tmp_path, env), re.MULTILINE)
    assert re.search(r"NDB/K +\.\d\d \(null \.\d\d\)", shell(beside_reals, tmp_path, env))


def test_the_python_example_runs(served, tmp_path):
    [example] = blocks("python")
    example = example.replace("http://127.0.0.1:8000", served)
    example = example.replace('"training.epochs": 3', '"training.epochs": 1, "training.steps_per_epoch": 2')
    done = subprocess.run(
        [sys.executable, "-c", example],
        cwd=tmp_path,
        env=environ(tmp_path),
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "undetermined"), done.stderr


def test_it_runs_on_a_postgresql_and_a_redis_of_your_own(postgres_url, broker_url, tmp_path):
    env = environ(tmp_path, GANCLINIC_DATABASE_URL=postgres_url, GANCLINIC_BROKER_URL=broker_url, GANCLINIC_PORT="0")
    said = [line for line in commands() if line.split("=")[0] not in HERE]
    [migrate] = [line for line in said if "store.migrate" in line]
    servers = [line for line in said if line.endswith("api") or " worker" in line]
    assert len(servers) == 2
    shell(migrate, tmp_path, env)
    log = tmp_path / "server.log"
    for line in servers:
        command = [sys.executable, "-m", *line.replace(".venv/bin/", "").replace("cuda:0", "cpu").split()]
        with running(command, log=log, ready=lambda: has_started(log), cwd=tmp_path, env=env, timeout_s=60) as server:
            assert server.poll() is None


def has_started(log: Path) -> bool:
    """Whether a server says that it serves: uvicorn its address, Celery its broker."""
    said = log.read_text("utf-8", errors="replace")
    return "running on" in said.lower() or "ready" in said


def test_no_command_of_the_readme_is_left_out():
    known = (
        "ganclinic run",
        "ganclinic presets",
        "ganclinic ls",
        "ganclinic compare",
        "ganclinic diagnose",
        "ganclinic upload",
        "curl",
        "store.migrate",
        "ganclinic api",
        "ganclinic worker",
    )
    for line in commands():
        assert line in HERE or line.split("=")[0] in HERE or any(word in line for word in known), line
