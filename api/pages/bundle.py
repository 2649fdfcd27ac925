"""The dashboard's files, as `dashboard/build.mjs` writes them: read once, served from memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

FOLDER = Path(__file__).parent / "built"
PAGE = "index.html"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltFile:
    """One file."""

    content: bytes
    packed: bytes | None
    """The same in gzip; None of a picture, which is packed as it is."""
    media_type: str
    tag: str
    """Names the content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """All files of the pages."""

    page: BuiltFile
    """The one document; its script draws the page that the address names."""
    assets: Mapping[str, BuiltFile]
    """By names that hold a hash of the content."""


def read(folder: Path) -> Bundle | None:
    """What lies in the folder; None where nothing was built."""
    if not (folder / PAGE).is_file():
        return None
    files = {path.name: _file(path) for path in sorted(folder.iterdir()) if path.suffix in MEDIA_TYPES}
    return Bundle(page=files.pop(PAGE), assets=files)


def _file(path: Path) -> BuiltFile:
    content = path.read_bytes()
    packed = path.with_name(f"{path.name}.gz")
    return BuiltFile(
        content=content,
        packed=packed.read_bytes() if packed.is_file() else None,
        media_type=MEDIA_TYPES[path.suffix],
        tag=sha256(content).hexdigest()[:32],
    )
