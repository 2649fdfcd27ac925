"""The document of everything that a spec can choose."""

from pathlib import Path

from ganlib.spec.reference import cabinet
from ganlib.spec.remedies import Remedies

DOCUMENT = Path(__file__).parents[4] / "docs" / "cabinet.md"


def test_the_document_is_what_the_code_says():
    assert DOCUMENT.read_text("utf-8") == cabinet(), "make it anew: python -m ganlib.spec.reference > docs/cabinet.md"


def test_every_remedy_is_described_with_its_source():
    text = cabinet()
    for name in Remedies.model_fields:
        forms = [line for line in text.splitlines() if line.startswith(f"**`{name}`")]
        assert forms, name
        assert all("Source: " in form for form in forms), name


def test_a_part_of_several_forms_is_described_once():
    assert cabinet().count("**`init`: `normal`**") == 1
