from pathlib import Path

from tests.support.names_check import shared_names


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_class_name_that_two_packages_give_is_found_with_its_files(tmp_path: Path) -> None:
    write(tmp_path / "store" / "runs.py", "class Page: ...\nclass _Own: ...\n")
    write(tmp_path / "api" / "pages.py", "class Page: ...\nclass _Own: ...\nclass Other: ...\n")
    assert shared_names(tmp_path) == {"Page": ["api/pages.py", "store/runs.py"]}


def test_a_name_with_a_reason_may_be_shared(tmp_path: Path) -> None:
    write(tmp_path / "store" / "errors.py", "class QuotaExceeded(Exception): ...\n")
    write(tmp_path / "ganclinic" / "errors.py", "class QuotaExceeded(Exception): ...\n")
    assert shared_names(tmp_path) == {}
