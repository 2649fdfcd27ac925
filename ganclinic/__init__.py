"""Client of a GAN Clinic service: `Client` has a method for every verb of the command line."""

from ganclinic.client import Client
from ganclinic.errors import GanClinicError
from ganclinic.views import BatchView, ComparisonView, RunDetails, RunView
from ganlib.request import RunRequest

__all__ = ["BatchView", "Client", "ComparisonView", "GanClinicError", "RunDetails", "RunRequest", "RunView"]
