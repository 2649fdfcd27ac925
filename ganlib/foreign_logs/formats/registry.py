"""All formats that are known. One more is one more file and a row here."""

from collections.abc import Iterable

from ganlib.foreign_logs.formats import dcgan, stylegan
from ganlib.foreign_logs.formats.format import Format

FORMATS: tuple[Format, ...] = (
    dcgan.FORMAT,
    stylegan.FORMAT,
)

KNOWN_KEYS = frozenset(name for form in FORMATS for name in form.keys)
"""Names that hold a signal in some format."""


def recognised(names: Iterable[str]) -> Format | None:
    """The format whose log has such names: of several the one that needs most of them."""
    found = set(names)
    fits = [form for form in FORMATS if form.recognises(found)]
    return max(fits, key=lambda form: len(form.needs), default=None)
