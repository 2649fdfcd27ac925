"""The commands of docs/tutorial.md, in their order, against a service of its own. Run by CI."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
TUTORIAL = (CHECKOUT / "docs" / "tutorial.md").read_text("utf-8")
EXPECTED = ("mode collapse, severe", "three shapes in 64 samples", "larger latent", "healthy")
"""What the commands say, whatever ids and figures are; `treat --wait` fails where nothing cures."""
PICTURES = ("10.png", "ndb.png", "losses.png")
PATIENCE_S = 900


def main() -> None:
    """Exit status 1 when a command fails, or does not say what the tutorial says."""
    script = "set -euo pipefail\n" + "".join(re.findall(r"```sh\n(.*?)```", TUTORIAL, flags=re.DOTALL))
    script = script.replace(".venv/bin/", f"{CHECKOUT}/.venv/bin/")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / ".ganclinic"
        env = os.environ | {"GANCLINIC_HOME": str(home), "XDG_CONFIG_HOME": folder}
        up = [sys.executable, "-m", "ganclinic", "up", "--port", "0"]
        service = subprocess.Popen(up, cwd=CHECKOUT, env=env, stdout=subprocess.DEVNULL)
        try:
            script = script.replace("http://127.0.0.1:8000", _address(service, home / "service.json"))
            started = time.monotonic()
            done = subprocess.run(
                ["bash", "-c", script], cwd=folder, env=env, stdout=subprocess.PIPE, text=True, timeout=PATIENCE_S
            )
            seconds = time.monotonic() - started
            sys.stdout.write(f"{done.stdout}\nthe tutorial took {seconds:.0f} s\n")
            missing = [text for text in EXPECTED if text not in done.stdout]
            missing += [name for name in PICTURES if not (Path(folder) / name).exists()]
        finally:
            service.send_signal(signal.SIGINT)
            service.wait(60)
    if done.returncode or missing:
        sys.exit(f"exit status {done.returncode}; not seen: {missing}")


def _address(service: subprocess.Popen[bytes], announced: Path) -> str:
    """Where the service listens, once it has said so."""
    deadline = time.monotonic() + 120
    while not announced.exists():
        if service.poll() is not None or time.monotonic() > deadline:
            sys.exit("the service did not start")
        time.sleep(0.2)
    return re.findall(r"http://[0-9.:]+", announced.read_text())[0]


if __name__ == "__main__":
    main()
