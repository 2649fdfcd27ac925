"""Which installed distributions an extra of this project brings, from their metadata."""

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name


def closure(extras: Iterable[str] = ()) -> set[NormalizedName]:
    """Names of everything that `pip install ganclinic[extras]` brings, itself included."""
    found: set[NormalizedName] = set()
    seen: set[tuple[NormalizedName, str]] = set()
    waiting = [Requirement(f"ganclinic[{','.join(extras)}]")]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        found.add(name)
        for extra in {"", *requirement.extras} - {extra for known, extra in seen if known == name}:
            seen.add((name, extra))
            waiting.extend(_requirements(name, extra))
    return found


def _requirements(name: str, extra: str) -> list[Requirement]:
    requirements = [Requirement(text) for text in distribution(name).requires or ()]
    return [r for r in requirements if r.marker is None or r.marker.evaluate({"extra": extra})]


def modules_of(distributions: set[NormalizedName]) -> set[str]:
    """Top-level modules that these installed distributions bring."""
    return {
        module for module, names in _owners().items() if distributions & {canonicalize_name(name) for name in names}
    }


def modules_outside(distributions: set[NormalizedName]) -> set[str]:
    """Top-level modules that only other installed distributions bring."""
    return set(_owners()) - modules_of(distributions)


@cache
def _owners() -> Mapping[str, list[str]]:
    return packages_distributions()


def imported_modules(folder: Path) -> set[str]:
    """Top-level modules, other than Python's own, that the code in a folder imports anywhere."""
    names = (name for path in folder.rglob("*.py") for name in _imports(ast.parse(path.read_text("utf-8"))))
    return {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
