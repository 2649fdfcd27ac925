"""The run spec: everything that decides what a training computes, and nothing else.

A spec is frozen, refuses unknown fields and is checked as a whole when it is built, so that a run that
cannot work is refused before it is queued. This module imports no torch: the client and the API use it.

    spec = RunSpec.model_validate({"dataset": {"name": "ring8"}, ...})
    hashing.spec_hash(spec)      # equal specs, equal hashes
"""

from typing import Any, Self, cast

from pydantic import model_validator

from ganlib.spec.checks.evaluation import check_evaluation
from ganlib.spec.checks.networks import check_networks
from ganlib.spec.checks.precision import check_precision
from ganlib.spec.checks.ranks import check_ranks
from ganlib.spec.checks.remedies import check_remedies
from ganlib.spec.checks.training import check_batch, network_context
from ganlib.spec.fields import RunFields
from ganlib.spec.objective import check_objective, with_usual


class RunSpec(RunFields):
    """One training, completely described."""

    @model_validator(mode="before")
    @classmethod
    def _usual_of_the_objective(cls, document: Any) -> Any:
        return with_usual(cast("dict[str, Any]", document)) if isinstance(document, dict) else document

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        check_objective(self.objective, self.penalties, self.training.discriminator_update)
        check_batch(self)
        check_networks(self.generator, self.discriminator, network_context(self))
        check_evaluation(self)
        check_remedies(self)
        check_ranks(self)
        check_precision(self)
        return self
