"""Where a bench writes what it measured, and on what."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }


def write(name: str, figures: dict[str, Any], directory: Path = RESULTS) -> Path:
    """Write `<name>.json` in `directory`, with date and machine."""
    path = directory / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    document = {"measured_on": datetime.now(UTC).date().isoformat(), "machine": machine(), **figures}
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path
