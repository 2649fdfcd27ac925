"""Extensions of runs that are over."""

from pydantic import BaseModel, ConfigDict, Field

from ganlib.spec.limits import MAX_EPOCH


class Extension(BaseModel):
    """How far a run that is over is to go on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(ge=1, le=MAX_EPOCH, description="More than it has made.")
