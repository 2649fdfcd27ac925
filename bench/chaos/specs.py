"""The specs of the runs, and a network that kills its process."""

from pathlib import Path
from typing import Any

EPOCHS = 12
TINY: dict[str, Any] = {
    "dataset": {"name": "ring8", "size": 400},
    "generator": {"family": "mlp", "width": 16},
    "discriminator": {"family": "mlp", "width": 16},
    # A checkpoint every epoch: no epoch that was recorded is ever made again.
    "training": {"epochs": EPOCHS, "steps_per_epoch": 100, "batch_size": 32, "checkpoint_every_epochs": 1},
    "evaluation": {"num_samples": 100, "every_epochs": 4},
    "samples": {"count": 16},
}
SPECS: tuple[dict[str, Any], ...] = (
    TINY | {"seed": 1},
    TINY | {"seed": 2, "objective": {"name": "hinge"}, "remedies": {"replay": {}}},
    TINY | {"seed": 3, "remedies": {"historical_averaging": {}, "ema": {}}},
)
"""Plain, and with remedies whose state has to outlive a fault."""
CRASHING = TINY | {"seed": 4, "generator": {"family": "plugin", "name": "crash"}}
"""Its process is killed whenever it builds its networks."""

_METADATA = "Metadata-Version: 2.1\nName: chaos-crash\nVersion: 1.0\n"
_ENTRY_POINTS = "[ganlib.networks]\ncrash = chaos_crash:FAMILY\n"
_SCHEMA = '''
from typing import Literal
from ganlib.spec.network_plugins import NetworkFamily, PublishedNetwork
from ganlib.spec.part import Part

class Crash(Part):
    """Builds nothing."""

    family: Literal["crash"] = "crash"

FAMILY = NetworkFamily(generator=PublishedNetwork(schema=Crash, builder="chaos_crash:build"))

def build(*args, **options):
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)
'''


def install_crash(site: Path) -> None:
    """Leaves in `site`, a directory of the servers' path, what installing such a network leaves there."""
    info = site / "chaos_crash-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(_METADATA)
    (info / "entry_points.txt").write_text(_ENTRY_POINTS)
    (site / "chaos_crash.py").write_text(_SCHEMA)
