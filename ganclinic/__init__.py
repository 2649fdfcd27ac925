"""Client of a GAN Clinic service: `Client` has a method for every verb of the command line.

`diagnose` needs no service: it reads the losses of any trainer.
"""

from ganclinic.client import Client
from ganclinic.errors import GanClinicError
from ganclinic.foreign import diagnose, diagnose_each
from ganclinic.views import BatchView, ComparisonView, RunDetails, RunView
from ganlib.spec.request import RunRequest

__all__ = [
    "BatchView",
    "Client",
    "ComparisonView",
    "GanClinicError",
    "RunDetails",
    "RunRequest",
    "RunView",
    "diagnose",
    "diagnose_each",
]
