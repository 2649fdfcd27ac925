"""How answers are read: leniently, so that a client gets on with a service of another version.

A field that is not known is left out. A word that is not known, as a new status, stays as it came. A field that an
older service does not send is null, empty or false, where it can be.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter
from pydantic_core import CoreSchema, SchemaValidator, core_schema

from ganlib.wire.view import View, WrittenAs

Answer = TypeVar("Answer")
EMPTY: dict[str, Callable[[], Any]] = {
    "nullable": lambda: None,
    "list": list,
    "tuple": tuple,
    "dict": dict,
    "bool": bool,
}
"""What a missing field is read as, by the type of its schema."""
STRICT = frozenset({"config", "extra_behavior", "metadata"})
"""Parts of a schema that forbid fields, or say nothing of values."""


def read(kind: type[Answer], document: Any) -> Answer:
    """The answer that a JSON document holds: a view, or a dataclass of ganlib.

    Raises:
        ValidationError: it is no such answer, in any version.
    """
    return cast("Answer", _reader(kind).validate_python(document))


@cache
def _reader(kind: type[Any]) -> SchemaValidator:
    schema = dict(TypeAdapter(kind).core_schema)  # of a view that was never used, a mapping that builds it
    return SchemaValidator(cast("CoreSchema", _lenient(schema)))


def _made(model: type[View], validated: tuple[dict[str, Any], None, set[str]]) -> View:
    values, _, given = validated
    return model.model_construct(given, **values)


def _lenient(schema: Any) -> Any:
    """The core schema of a model, as pydantic documents it, that refuses less."""
    match schema:
        case {"type": "literal", "expected": [str(), *_]}:
            return {"type": "str"}
        case {"type": "function-before", "function": {"function": WrittenAs()}, "schema": inner}:
            return _lenient(inner)
        case {"type": "model-field" | "dataclass-field", "schema": {"type": str()} as strict}:
            inner = _lenient(strict)
            if inner["type"] in EMPTY:
                inner = core_schema.with_default_schema(inner, default_factory=EMPTY[inner["type"]])
            return {**schema, "schema": inner}
        case {"type": "model", "cls": model, "schema": fields}:
            # A schema of the type "model" would be validated by the model itself, strictly.
            make = partial(_made, model)
            return core_schema.no_info_after_validator_function(make, _lenient(fields), ref=schema.get("ref"))
        case {"type": str()}:
            return {key: _lenient(value) for key, value in schema.items() if key not in STRICT}
        case dict():
            return {key: _lenient(value) for key, value in cast("dict[str, Any]", schema).items()}
        case list():
            return [_lenient(value) for value in cast("list[Any]", schema)]
        case _:
            return schema
