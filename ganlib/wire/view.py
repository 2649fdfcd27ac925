"""What every answer of the service is made of.

The models are strict: whoever writes an answer names every field, no other, and nothing that is not allowed.
`ganlib.wire.reading.read` reads them leniently. Imports no torch, no numpy and no spec: the command line waits for it.
"""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


def _describe(schema: dict[str, Any]) -> None:
    """Changes what pydantic says of a view in the OpenAPI document."""
    schema.pop("additionalProperties", None)  # a later version may answer with more fields
    for field in schema["properties"].values():
        if any("$ref" in described for described in (field, *field.get("anyOf", ()))):
            field.pop("title", None)  # as of any field that is a model


class View(BaseModel):
    """Base of all answers. Times are RFC 3339 in UTC; numbers that are not finite are null."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        from_attributes=True,
        use_attribute_docstrings=True,
        defer_build=True,  # a command needs few of them
        json_schema_extra=_describe,
    )

    def to_json(self) -> dict[str, Any]:
        """Plain types only. What a newer service has put in place of a known word stays as it came."""
        return self.model_dump(mode="json", warnings=False)


class DescribedAs:
    """Marks a field that is documented as a model.

    `model` is called when it is needed, so that it may import what is heavy.
    """

    def __init__(self, model: Callable[[], type[BaseModel]]) -> None:
        self._model = model

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The description of the model."""
        return handler(core_schema.definitions_schema(self._model().__pydantic_core_schema__, []))


class WrittenAs(DescribedAs):
    """Marks a field that the service writes, and documents, as a model, and that is plain JSON to whoever reads it."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Checks what is written; `ganlib.wire.reading` leaves that out."""
        return core_schema.no_info_before_validator_function(self, handler(source))

    def __call__(self, value: Any) -> dict[str, Any]:
        """The value as the model has it, with every default.

        Raises:
            ValidationError: it is no such model.
        """
        return self._model().model_validate(value).model_dump(mode="json")
