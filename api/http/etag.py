"""Pictures with an entity tag, so that nobody transfers or draws one that the client has."""

from collections.abc import Callable
from typing import Any

from fastapi import Request, Response

from store.core.models import Artifact
from store.files.artifacts import Artifacts

IMMUTABLE = "private, max-age=31536000, immutable"
REVALIDATE = "private, no-cache"
IMAGE_HEADERS: dict[str, Any] = {
    "ETag": {"schema": {"type": "string"}},
    "Cache-Control": {"schema": {"type": "string"}},
}


def image_response(
    request: Request, make: Callable[[], bytes], *, media_type: str, tag: str, cache_control: str
) -> Response:
    """The picture that `make` gives, or 304 without calling it where the client has the one of that tag."""
    headers = {"ETag": f'"{tag}"', "Cache-Control": cache_control, "X-Content-Type-Options": "nosniff"}
    if has_tag(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(make(), headers=headers, media_type=media_type)


def stored_image(request: Request, artifacts: Artifacts, artifact: Artifact, *, cache_control: str) -> Response:
    """A picture that is stored, or 304 without reading it where the client has it."""
    return image_response(
        request,
        lambda: artifacts.get(artifact.sha256),
        media_type=artifact.media_type,
        tag=artifact.sha256,
        cache_control=cache_control,
    )


def has_tag(request: Request, tag: str) -> bool:
    """Whether the client says that it has what is tagged so."""
    known = {given.strip().removeprefix("W/") for given in request.headers.get("if-none-match", "").split(",")}
    return "*" in known or f'"{tag}"' in known


def image_responses(*media_types: str) -> dict[int | str, dict[str, Any]]:
    """A picture's `responses`, for the OpenAPI document."""
    content = {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in media_types}
    return {
        200: {"description": "The picture", "content": content, "headers": IMAGE_HEADERS},
        304: {"description": "The client has it"},
    }
