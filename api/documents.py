"""Machine-readable descriptions: the JSON Schema of a run spec, and the OpenAPI document of this API."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from ganlib.spec.run import RunSpec

router = APIRouter(tags=["documents"])


class SchemaResponse(JSONResponse):
    """A JSON Schema."""

    media_type = "application/schema+json"


@router.get("/schemas/run-spec", response_class=SchemaResponse)
def get_run_spec_schema() -> dict[str, Any]:
    """Read the JSON Schema of a run spec."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **RunSpec.model_json_schema()}


@router.get("/openapi.json")
def get_openapi(request: Request) -> dict[str, Any]:
    """Read the OpenAPI document of this API."""
    document: dict[str, Any] = request.app.openapi()
    return document
