"""`python -m tests.support.names_check`: no two public classes of one name in different packages."""

import ast
import sys
from collections import defaultdict
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PACKAGES = ("api", "ganclinic", "ganlib", "store", "worker")
ALLOWED = {
    "QuotaExceeded": "the client raises what the store raised: the same refusal on both sides of HTTP",
}
"""Names that two packages may share, each with its reason."""


def shared_names(checkout: Path) -> dict[str, list[str]]:
    """The files of every public class whose name more than one package or folder gives to a class, by name."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for package in PACKAGES:
        for path in sorted((checkout / package).rglob("*.py")):
            for node in ast.parse(path.read_text("utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places[node.name].append(str(path.relative_to(checkout)))
    return {name: paths for name, paths in places.items() if len(paths) > 1 and name not in ALLOWED}


def main() -> int:
    """Names each class that means two things; 1 where there is one."""
    shared = shared_names(CHECKOUT)
    for name, paths in shared.items():
        sys.stderr.write(f"{name} means several things: {', '.join(paths)}; give each a name of its own\n")
    return 1 if shared else 0


if __name__ == "__main__":
    sys.exit(main())
