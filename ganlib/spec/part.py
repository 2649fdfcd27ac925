"""What every part of a spec is made of. Imports no torch."""

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A frozen part of a spec: unknown fields are refused, numbers must be finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)
