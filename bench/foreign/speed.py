# pyright: standard
"""What it costs to read and judge long logs, and to follow one that grows.

    make bench-foreign-speed     # three minutes; writes bench/results/foreign_speed.json

A log of ROWS rows in each of FORMS is judged as `ganclinic diagnose` does, in a process of its own: CPU time, which
other work on the machine hardly changes, and the most memory. Then `ganclinic diagnose FILE --follow` follows a log of
as many rows that gets one more each second: the share of a core that it takes, its start left out.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench import results

ROWS = 500_000
REPEATS = 3
FOLLOWED_S = 120.0
PER_EPOCH = 1000
JUDGE = "import sys, ganclinic; print(len(ganclinic.diagnose(sys.argv[1]).reading.history.steps))"


def losses(rows: int) -> Iterator[tuple[int, float, float, float, float]]:
    """Step, Loss_D, Loss_G, D(x) and D(G(z)) of a training in balance."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0.0, 0.05, (rows, 4))
    levels = np.array([1.33, 0.75, 0.52, 0.48])
    for step, (d_loss, g_loss, real, fake) in enumerate((levels * (1 + noise)).tolist()):
        yield step, d_loss, g_loss, real, fake


def _dcgan(step: int, d: float, g: float, x: float, z: float) -> str:
    epoch, batch = divmod(step, PER_EPOCH)
    at = f"[{epoch}/{ROWS // PER_EPOCH}][{batch}/{PER_EPOCH}]"
    return f"{at}\tLoss_D: {d:.4f}\tLoss_G: {g:.4f}\tD(x): {x:.4f}\tD(G(z)): {z:.4f} / {z:.4f}"


def _csv(step: int, d: float, g: float, x: float, z: float) -> str:
    return f"{step},{d:.4f},{g:.4f},{x:.4f},{z:.4f}"


def _json(step: int, d: float, g: float, x: float, z: float) -> str:
    return json.dumps({"step": step, "d_loss": round(d, 4), "g_loss": round(g, 4), "D(x)": round(x, 4)})


FORMS: dict[str, tuple[str, Callable[[int, float, float, float, float], str]]] = {
    "lines that DCGAN prints": ("", _dcgan),
    "CSV": ("step,d_loss,g_loss,D(x),D(G(z))\n", _csv),
    "JSON lines": ("", _json),
}


def main() -> None:
    """Measure, print, write."""
    figures: dict[str, Any] = {"rows": ROWS, "load": list(os.getloadavg()), "forms": {}}
    with tempfile.TemporaryDirectory() as folder:
        for name, (head, line) in FORMS.items():
            path = Path(folder) / "train.log"
            path.write_text(head + "".join(line(*row) + "\n" for row in losses(ROWS)))
            costs = [_cost([sys.executable, "-c", JUDGE, str(path)]) for _ in range(REPEATS)]
            figures["forms"][name] = {
                "megabytes": round(path.stat().st_size / 1e6, 1),
                "cpu_s": round(min(cpu for cpu, _ in costs), 2),
                "most_memory_mib": round(max(memory for _, memory in costs)),
            }
            sys.stdout.write(f"{name}: {figures['forms'][name]}\n")
            if name == next(iter(FORMS)):
                figures["followed"] = _followed(path)
                sys.stdout.write(f"followed: {figures['followed']}\n")
            sys.stdout.flush()
    figures["start_cpu_s"] = round(_cost([sys.executable, "-c", "import ganclinic.cli.histories"])[0], 2)
    sys.stdout.write(f"{results.write('foreign_speed', figures)}\n")


def _cost(command: list[str]) -> tuple[float, float]:
    """CPU seconds and the most MiB of a process."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    return _ended(process)


def _ended(process: "subprocess.Popen[bytes]") -> tuple[float, float]:
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def _followed(path: Path) -> dict[str, Any]:
    """The share of a core that following takes while a row comes each second, from the first verdict on."""
    command = [sys.executable, "-m", "ganclinic", "diagnose", str(path), "--follow"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    process.stderr.readline()  # the first verdict
    before, began = _cpu_of(process.pid), time.monotonic()
    for row in losses(int(FOLLOWED_S)):
        with path.open("a") as file:
            file.write(_dcgan(ROWS + row[0], *row[1:]) + "\n")
        time.sleep(1.0)
    seconds, cpu = time.monotonic() - began, _cpu_of(process.pid) - before
    process.terminate()
    _, memory = _ended(process)
    return {
        "seconds": round(seconds),
        "cpu_s": round(cpu, 2),
        "share_of_a_core": round(cpu / seconds, 3),
        "most_memory_mib": round(memory),
    }


def _cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
