"""What the API answers of what a run has recorded. Numbers that are not finite are null."""

from typing import Any, Literal, Self

from api.schemas import run_path
from api.views import View
from ganlib.diagnosis.verdict import Diagnosis, Picture
from ganlib.findings import FindingName, Severity, Verdict
from ganlib.records import ALPHA, NDB_FIGURES, EpochEvaluation
from store.core.models import Artifact


class ColumnView(View):
    """One column of a series, a number a point."""

    mean: list[float | None]
    """Null where one of the point's values is not finite."""
    min: list[float | None]
    """Over the finite values; null where there is none."""
    max: list[float | None]


class SeriesView(View):
    """Losses (nats), accuracies and gradient norms over a run's steps, in at most `max_points` points.

    A point stands for consecutive steps (or epochs); its minimum and maximum keep what the mean hides.
    """

    resolution: Literal["epoch", "step"]
    steps_per_epoch: int
    steps: list[int]
    """First step of each point, from 1."""
    epochs: list[int]
    """The epoch of that step, from 1."""
    columns: dict[str, ColumnView]


class SampleView(View):
    """The picture of an epoch's samples, always from the same latents."""

    epoch: int
    sha256: str
    media_type: str
    size: int
    """In bytes."""
    href: str

    @classmethod
    def of(cls, artifact: Artifact) -> Self:
        """The view of a stored picture."""
        href = f"{run_path(artifact.run_id)}/samples/{artifact.epoch}"
        return cls(
            epoch=artifact.epoch, sha256=artifact.sha256, media_type=artifact.media_type, size=artifact.size, href=href
        )


class SampleList(View):
    """All pictures of a run."""

    items: list[SampleView]


class NullView(View):
    """The same figure where fakes are real data."""

    mean: float | None
    q05: float | None
    q95: float | None
    excess: float | None
    """The figure minus `mean`."""


class BinView(View):
    """One NDB bin."""

    real: float
    """Share of the training data in it."""
    fake: float
    """Share of the fakes in it."""
    real_se: float
    fake_se: float
    z: float
    """Positive where fakes are too many."""
    p: float
    different: bool
    ratio_upper: float | None
    """Upper 95 % bound on fake share over real share; null where the bin has neither."""
    missing: bool
    """`ratio_upper` is below a quarter."""


class NdbView(View):
    """Where fakes lie among the bins of the training data."""

    epoch: int
    """0 is the untrained generator."""
    space: str
    n_real: int
    n_fake: int
    num_bins: int
    alpha: float
    """A bin differs where p < alpha."""
    values: dict[str, float | None]
    """`ndb_over_k`, `js` (nats; comparable only at equal counts), `missing_mass`."""
    nulls: dict[str, NullView]
    different: list[int]
    """Bins that differ, by their place in `bins`, from 1."""
    missing: list[int]
    """Bins that fakes surely leave out, likewise."""
    bins: list[BinView]
    """By falling `real`."""
    figure: str
    """Path of the picture."""

    @classmethod
    def of(cls, run_id: str, evaluation: EpochEvaluation) -> Self:
        """The view of an evaluation with bins."""
        document = evaluation.to_json()
        return cls(
            **{name: document[name] for name in ("epoch", "space", "n_real", "n_fake", "num_bins", "bins")},
            alpha=ALPHA,
            values={name: document["values"][name] for name in NDB_FIGURES},
            nulls={name: document["nulls"][name] for name in NDB_FIGURES},
            different=[rank for rank, ndb_bin in enumerate(evaluation.bins, 1) if ndb_bin.different],
            missing=[rank for rank, ndb_bin in enumerate(evaluation.bins, 1) if ndb_bin.missing],
            figure=f"{run_path(run_id)}/figures/ndb.png?epoch={evaluation.epoch}",
        )


class EvaluationView(View):
    """Fakes of one epoch compared with real data."""

    epoch: int
    """0 is the untrained generator."""
    space: str
    n_real: int
    n_fake: int
    n_subset: int
    num_bins: int
    values: dict[str, float | None]
    nulls: dict[str, NullView]
    """Under the same names, where there is one."""
    shift: dict[str, float | None]
    """The same figures of the data set's own test split, where it has one."""
    bins: list[BinView]
    """By falling `real`."""


class EvaluationList(View):
    """All evaluations of a run, in order."""

    items: list[EvaluationView]


class EvidenceView(View):
    """One signal that passed its threshold."""

    signal: str
    value: float | None
    threshold: float
    comparison: Literal["<", "<=", ">", ">="]
    first_epoch: int
    last_epoch: int
    source: str
    picture: Picture
    """What shows it."""
    href: str
    """Path of that picture."""


class RemedyView(View):
    """A suggested change of the spec."""

    name: str
    reason: str
    patch: dict[str, Any]
    """What to give as `set` in the next request."""
    effect: str
    """How often it healed this finding in the suite."""


class FindingView(View):
    """One failure mode, with what shows it."""

    name: FindingName
    severity: Severity
    first_epoch: int
    summary: str
    evidence: list[EvidenceView]
    remedies: list[RemedyView]
    confidence: float
    """Chance, in [0, 1], that the finding is right, as measured; lower where signals are missing."""
    check: str
    """What to look at to see for oneself."""


class EpisodeView(View):
    """A finding that held for a while and no longer does."""

    name: FindingName
    severity: Severity
    first_epoch: int
    last_epoch: int


class DiagnosisView(View):
    """The verdict of a run up to an epoch."""

    epoch: int
    verdict: Verdict
    severity: Severity
    findings: list[FindingView]
    """Causes before symptoms: the first one gives the verdict."""
    reason: str
    """One line of evidence."""
    ruleset: str
    """Version of the rules and thresholds."""
    recovered: list[EpisodeView]
    """What was found earlier and is over."""
    missing: list[str]
    """Signals that the history does not have."""

    @classmethod
    def of(cls, run_id: str, diagnosis: Diagnosis) -> Self:
        """The view of a run's diagnosis, with the paths of its pictures."""
        document = diagnosis.to_json()
        for finding in document["findings"]:
            for evidence in finding["evidence"]:
                evidence["href"] = picture_path(run_id, evidence["picture"], evidence["last_epoch"])
        return cls.model_validate(document)


def picture_path(run_id: str, picture: Picture, epoch: int) -> str:
    """Where the API has the picture of an epoch."""
    run = run_path(run_id)
    match picture:
        case "losses":
            return f"{run}/figures/losses.png"
        case "samples":
            return f"{run}/samples/{epoch}"
        case "ndb":
            return f"{run}/figures/ndb.png?epoch={epoch}"


class DiagnosisList(View):
    """The diagnosis after each epoch, in order."""

    items: list[DiagnosisView]
