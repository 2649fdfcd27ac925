"""The document of everything that a spec can choose."""

from pathlib import Path

from ganlib.spec.reference import reference_document
from ganlib.spec.remedies import Remedies

DOCUMENT = Path(__file__).parents[4] / "docs" / "spec-reference.md"


def test_the_document_is_what_the_code_says():
    assert DOCUMENT.read_text("utf-8") == reference_document(), (
        "make it anew: python -m ganlib.spec.reference > docs/spec-reference.md"
    )


def test_every_remedy_is_described_with_its_source():
    text = reference_document()
    for name in Remedies.model_fields:
        forms = [line for line in text.splitlines() if line.startswith(f"**`{name}`")]
        assert forms, name
        assert all("Source: " in form for form in forms), name


def test_a_part_of_several_forms_is_described_once():
    assert reference_document().count("**`init`: `normal`**") == 1
