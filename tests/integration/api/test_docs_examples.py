"""Every example of docs/api.md, docs/sweeps.md and docs/watch.md, run against a service."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.api import TOKEN, Service, record
from tests.support.serving import served

CHECKOUT = Path(__file__).parents[3]
DOCS = CHECKOUT / "docs"


def examples(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / name).read_text("utf-8"), flags=re.DOTALL)


def run(command: list[str], url: str, cwd: Path, **more: str) -> str:
    """What it prints, with the programs of this test run."""
    bin_folder = cwd / "bin"
    bin_folder.mkdir(exist_ok=True)
    (bin_folder / "ganclinic").write_text(f'#!/bin/sh\nexec {sys.executable} -m ganclinic "$@"\n')
    (bin_folder / "ganclinic").chmod(0o755)
    env = {
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "PYTHONPATH": str(CHECKOUT),
        "HOME": str(cwd),
        "GANCLINIC_URL": url,
        "GANCLINIC_TOKEN": TOKEN,
        "URL": url,
        "TOKEN": TOKEN,
        **more,
    }
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_api_is_spoken_to_as_its_note_says(sqlite_service: Service, tmp_path: Path) -> None:
    run_id = record(sqlite_service).id
    with served(sqlite_service) as url:
        stream, command, tags, downloads, webhooks = examples("api.md", "sh")
        heard = run(["bash", "-ec", stream], url, tmp_path, RUN=run_id)
        lines = run(["bash", "-ec", command], url, tmp_path).splitlines()
        tagged = run(["bash", "-ec", tags], url, tmp_path, RUN=run_id).splitlines()
        run(["bash", "-ec", downloads], url, tmp_path, RUN=run_id)
        made = run(["bash", "-ec", webhooks], url, tmp_path).splitlines()
        (program,) = examples("api.md", "python")
        told = run([sys.executable, "-c", program], url, tmp_path, RUN=run_id)
    assert "event: status" in heard
    assert '"kind":"epoch"' in heard
    assert [line.split(" ", 2)[2] for line in lines] == [
        "epoch 1",
        "epoch 2",
        "mode collapse, severe, seen after epoch 2",
    ]
    assert (tmp_path / "losses.csv").read_text().startswith("step,epoch,d_loss_real,")
    assert (tmp_path / "samples.zip").read_bytes().startswith(b"PK")
    assert [line.split()[0] for line in tagged] == [run_id, "run", run_id]
    assert [line.split()[0] for line in made] == [*(line.split()[0] for line in made[:2]), "webhook", *made[:2]]
    assert told.splitlines() == ["status queued", "status running", "finding seen mode collapse"]
    assert sqlite_service.client.get(f"/v1/runs/{run_id}").json()["cancel_requested"]


def test_sweeps_are_made_as_their_note_says(sqlite_service: Service, tmp_path: Path) -> None:
    (file,) = examples("sweeps.md", "toml")
    (tmp_path / "rates.toml").write_text(file)
    commands, looks = examples("sweeps.md", "sh")
    with served(sqlite_service) as url:
        listed = run(["bash", "-ec", f'{commands}\necho "$BATCH" > batch'], url, tmp_path)
        table = run(["bash", "-ec", looks], url, tmp_path, BATCH=(tmp_path / "batch").read_text().strip())
        (program,) = examples("sweeps.md", "python")
        told = run([sys.executable, "-c", program], url, tmp_path)
    assert listed.splitlines()[0] == "latent_dim 1, learning_rate 0.0001, seed 0"
    assert listed.splitlines()[11] == "latent_dim 2, learning_rate 0.01, seed 1"
    assert table.split()[:4] == ["run", "seed", "latent_dim", "learning_rate"]
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 13
    assert len(json.loads((tmp_path / "results.json").read_text())["items"]) == 12
    assert told.startswith("3 runs, the first: learning_rate ")
    assert sqlite_service.count_runs() == 15


def test_a_training_elsewhere_is_watched_as_the_note_says(sqlite_service: Service, tmp_path: Path) -> None:
    program = next(text for text in examples("watch.md", "python") if "httpx" in text)
    with served(sqlite_service) as url:
        told = run([sys.executable, "-c", program], url, tmp_path)
    assert told.split() == ["2", "1", "3"]
    (watched_run,) = sqlite_service.client.get("/v1/runs").json()["items"]
    assert (watched_run["name"], watched_run["watched"]) == ("my-dcgan", True)


def test_a_loop_is_watched_and_synced_as_the_note_says(sqlite_service: Service, tmp_path: Path) -> None:
    program, command = examples("watch.md", "python")[0], examples("watch.md", "sh")[0]
    with served(sqlite_service) as url:
        run_id = run([sys.executable, "-c", program], url, tmp_path).strip()
        told = run(["bash", "-ec", command], url, tmp_path)
    assert told.startswith(f"{run_id}  300 steps, 3 epochs  .ganclinic-watch/")
    assert sqlite_service.client.get(f"/v1/watched-runs/{run_id}").json()["epochs_sent"] == 3
