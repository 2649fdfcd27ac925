"""`make demo` in a state directory of its own: are its three verdicts right? Run by CI."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXPECTED = {
    "digit8-stable": "healthy",
    "digit8-latent-1": "mode collapse",
    "digit8-combined-batch": "convergence failure",
}


def main() -> None:
    """Exit status 1 when the demo fails or a verdict is wrong."""
    with tempfile.TemporaryDirectory() as home:
        started = time.monotonic()
        subprocess.run(["make", "demo"], env=os.environ | {"GANCLINIC_HOME": home}, check=True)
        seconds = time.monotonic() - started
        runs = json.loads((Path(home) / "demo.json").read_text("utf-8"))
    verdicts = {run["preset"]: run["verdict"] for run in runs}
    sys.stdout.write(f"the demo took {seconds:.0f} s; its verdicts: {verdicts}\n")
    sys.exit(verdicts != EXPECTED)


if __name__ == "__main__":
    main()
