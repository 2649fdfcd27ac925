"""`ganclinic up` with real processes: its own broker, the API, a worker."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]
PATIENCE_S = 60.0
RING = """
[dataset]
name = "ring8"
size = 1000
[generator]
family = "mlp"
width = 8
[discriminator]
family = "mlp"
width = 8
[training]
epochs = 2
steps_per_epoch = 5
batch_size = 32
[evaluation]
num_samples = 100
"""


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not after {PATIENCE_S:g} s: {what}"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@dataclass(frozen=True, kw_only=True)
class Place:
    """A current directory with its state directory."""

    cwd: Path

    @property
    def home(self) -> Path:
        return self.cwd / ".ganclinic"

    def command(self, *arguments: str) -> Sequence[str]:
        return [sys.executable, "-m", "ganclinic", *arguments]

    @property
    def environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GANCLINIC_")}
        return kept | {"PYTHONPATH": str(CHECKOUT), "XDG_CONFIG_HOME": str(self.cwd), "CUDA_VISIBLE_DEVICES": ""}

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), cwd=self.cwd, env=self.environ, capture_output=True, text=True, timeout=PATIENCE_S
        )

    def up(self) -> subprocess.Popen[bytes]:
        """Starts a service with one worker, and waits until it is announced."""
        with (self.cwd / "up.out").open("ab") as out:
            process = subprocess.Popen(
                self.command("up", "--port", "0", "--workers", "1"),
                cwd=self.cwd,
                env=self.environ,
                stdout=out,
                stderr=out,
            )
        eventually(lambda: self.pid() == process.pid or process.poll() is not None, "service.json")
        assert process.poll() is None, self.said()
        return process

    def said(self) -> str:
        return (self.cwd / "up.out").read_text()

    def pid(self) -> int | None:
        try:
            return json.loads((self.home / "service.json").read_text())["pid"]
        except FileNotFoundError:
            return None

    def children(self, pid: int) -> dict[int, str]:
        """Child processes and their command lines."""
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return {int(child): Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ") for child in listed}


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    process.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A folder with spaces, and too long for a Unix socket in it."""
    cwd = tmp_path_factory.mktemp("with space") / ("long " * 24).strip()
    cwd.mkdir()
    (cwd / "api").mkdir()  # a folder of that name must not hide the service's own
    (cwd / "ring.toml").write_text(RING)
    return Place(cwd=cwd)


@pytest.fixture(scope="module")
def up(place: Place) -> Iterator[subprocess.Popen[bytes]]:
    process = place.up()
    yield process
    end(process)


pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc"),
    pytest.mark.slow,
]


def test_a_run_is_trained_to_its_verdict(place: Place, up: subprocess.Popen[bytes]) -> None:
    watched = place.cli("run", "ring.toml", "--watch", "--json")
    assert watched.returncode == 0, watched.stderr
    run = json.loads(watched.stdout)
    assert (run["status"], run["epochs_done"]) == ("succeeded", 2)
    shown = place.cli("show", run["id"])
    assert run["verdict"] in shown.stdout
    assert "epoch 2/2" in watched.stderr


def test_its_state_is_private(place: Place, up: subprocess.Popen[bytes]) -> None:
    assert stat.S_IMODE(place.home.stat().st_mode) == 0o700
    assert stat.S_IMODE((place.home / "token").stat().st_mode) == 0o600


def test_a_second_up_is_refused_with_the_url_of_the_first(place: Place, up: subprocess.Popen[bytes]) -> None:
    refused = place.cli("up", "--port", "0")
    assert refused.returncode == 3
    assert json.loads((place.home / "service.json").read_text())["url"] in refused.stderr
    assert place.cli("ls").returncode == 0


def test_a_taken_port_is_refused(place: Place, up: subprocess.Popen[bytes], tmp_path: Path) -> None:
    port = json.loads((place.home / "service.json").read_text())["url"].rpartition(":")[2]
    refused = Place(cwd=tmp_path).cli("up", "--port", port)
    assert refused.returncode == 3
    assert f"Port {port} on 127.0.0.1 is taken" in refused.stderr


def test_a_wrong_token_is_refused(place: Place, up: subprocess.Popen[bytes]) -> None:
    refused = place.cli("ls", "--token", "wrong")
    assert refused.returncode == 4


@pytest.mark.parametrize("part", ["-m api", "-m worker", "valkey-server"])
def test_a_killed_server_is_started_again(place: Place, up: subprocess.Popen[bytes], part: str) -> None:
    [victim] = [pid for pid, command in place.children(up.pid).items() if part in command]
    os.kill(victim, signal.SIGKILL)

    def is_back() -> bool:
        return any(part in command and pid != victim for pid, command in place.children(up.pid).items())

    eventually(is_back, part)
    assert "ended (SIGKILL); starting it again in 1 s" in place.said()
    eventually(lambda: place.cli("ls").returncode == 0, "the API answers")


def test_a_killed_up_takes_its_servers_along_and_the_next_one_starts(tmp_path: Path) -> None:
    place = Place(cwd=tmp_path)
    killed = place.up()
    servers = place.children(killed.pid)
    assert len(servers) == 3
    killed.kill()
    killed.wait()
    eventually(lambda: not any(map(is_alive, servers)), "all servers ended")
    assert place.pid() == killed.pid
    refused = place.cli("ls")
    assert refused.returncode == 3
    assert "No GAN Clinic service is running here" in refused.stderr
    again = place.up()
    assert place.cli("ls").returncode == 0
    servers = place.children(again.pid)
    again.send_signal(signal.SIGINT)
    assert again.wait(PATIENCE_S) == 0
    assert not any(map(is_alive, servers))
    assert place.pid() is None
    assert place.said().endswith("Stopped.\n")
