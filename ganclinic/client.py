"""The Python client: the same verbs as the command line.

with Client() as client:                          # or Client("http://gpu-server:8000", token="…")
    run = client.create_run(RunRequest(preset="digit8-latent-1", set={"training.epochs": 3}))
    run = client.wait(run.id)
    print(run.verdict, client.diagnosis(run.id).reason)
"""

from typing import Any

from ganclinic.errors import GanClinicError
from ganclinic.verbs.comparisons import ComparisonVerbs
from ganclinic.verbs.events import EventVerbs
from ganclinic.verbs.labels import LabelVerbs
from ganclinic.verbs.logs import LogVerbs
from ganclinic.verbs.records import RecordVerbs
from ganclinic.verbs.runs import RunVerbs
from ganclinic.verbs.scheduling import SchedulingVerbs
from ganclinic.verbs.treatments import TreatmentVerbs
from ganclinic.verbs.uploads import UploadVerbs
from ganclinic.verbs.watching import WatchVerbs
from ganclinic.verbs.webhooks import WebhookVerbs


class Client(
    LogVerbs,
    RunVerbs,
    EventVerbs,
    SchedulingVerbs,
    RecordVerbs,
    ComparisonVerbs,
    UploadVerbs,
    LabelVerbs,
    TreatmentVerbs,
    WatchVerbs,
    WebhookVerbs,
):
    """A connection to one service; usable as a context manager. Its verbs lie in `ganclinic.verbs`, by subject.

    Every verb raises `ganclinic.errors.GanClinicError` or one of its kinds, and nothing else.
    """

    def presets(self) -> list[dict[str, Any]]:
        """The published experiments that the service knows."""
        return self._answers.items("/v1/presets")

    def datasets(self) -> list[dict[str, Any]]:
        """The data sets that the service knows."""
        return self._answers.items("/v1/datasets")

    def is_healthy(self) -> bool:
        """Whether the service answers and says that it is well."""
        try:
            return self._answers.document("/v1/health").get("status") == "ok"
        except GanClinicError:
            return False
