"""Client of a GAN Clinic service: `Client` has a method for every verb of the command line.

`diagnose` needs no service: it reads the losses of any trainer. `watch` sends those of a training that goes on.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganclinic.client import Client
    from ganclinic.errors import GanClinicError
    from ganclinic.foreign import diagnose, diagnose_each
    from ganclinic.views import BatchView, ComparisonView, RunDetails, RunView
    from ganclinic.watching.watch import WatchedTraining, WatchVerdict, watch
    from ganlib.spec.request import RunRequest

__all__ = [
    "BatchView",
    "Client",
    "ComparisonView",
    "GanClinicError",
    "RunDetails",
    "RunRequest",
    "RunView",
    "WatchVerdict",
    "WatchedTraining",
    "diagnose",
    "diagnose_each",
    "watch",
]
_HOMES = {
    "Client": "ganclinic.client",
    "GanClinicError": "ganclinic.errors",
    "diagnose": "ganclinic.foreign",
    "diagnose_each": "ganclinic.foreign",
    "WatchedTraining": "ganclinic.watching.watch",
    "WatchVerdict": "ganclinic.watching.watch",
    "watch": "ganclinic.watching.watch",
    "RunRequest": "ganlib.spec.request",
}
"""Where each name is defined; the others are views. They are imported when they are used: `--help` needs none."""


def __getattr__(name: str) -> Any:
    """The name, imported now."""
    if name not in __all__:
        raise AttributeError(f"module 'ganclinic' has no attribute '{name}'")
    return getattr(import_module(_HOMES.get(name, "ganclinic.views")), name)


def __dir__() -> list[str]:
    """What the package is for."""
    return __all__
