"""Where the service has what: paths that the service's answers and the client's requests begin with."""

from urllib.parse import quote

BATCHES = "/v1/batches"
COMPARE = "/v1/compare"
COMPARISONS = "/v1/evaluations"
DRAIN = "/v1/drain"
EVENTS = "/v1/events"
LABELS = "/v1/labels"
RUNS = "/v1/runs"
UPLOADS = "/v1/uploads"
WEBHOOKS = "/v1/webhooks"
WATCHED_RUNS = "/v1/watched-runs"
WORKERS = "/v1/workers"


def batch_path(batch_id: str) -> str:
    """Path of a batch."""
    return f"{BATCHES}/{quote(batch_id, safe='')}"


def comparison_path(comparison_id: str) -> str:
    """Path of an evaluation of uploaded samples."""
    return f"{COMPARISONS}/{quote(comparison_id, safe='')}"


def drain_path(worker: str | None) -> str:
    """Path of the drain of that worker, or of all."""
    return DRAIN if worker is None else f"{WORKERS}/{quote(worker, safe='')}/drain"


def run_path(run_id: str) -> str:
    """Path of a run."""
    return f"{RUNS}/{quote(run_id, safe='')}"


def treatment_path(treatment_id: str) -> str:
    """Path of a treatment."""
    return f"/v1/treatments/{quote(treatment_id, safe='')}"


def watched_run_path(run_id: str) -> str:
    """Where the trainer of a watched run sends what it has."""
    return f"{WATCHED_RUNS}/{quote(run_id, safe='')}"


def upload_path(upload_id: str) -> str:
    """Path of an upload."""
    return f"{UPLOADS}/{quote(upload_id, safe='')}"


def webhook_path(webhook_id: str) -> str:
    """Path of a webhook."""
    return f"{WEBHOOKS}/{quote(webhook_id, safe='')}"
