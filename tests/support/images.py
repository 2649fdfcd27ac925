"""Reads the Dockerfiles, and lays out the files that an image would hold."""

import json
import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What a Dockerfile says, as far as the tests look at it."""

    workdir: str
    copies: tuple[tuple[str, str], ...]
    """(source in the checkout, destination under the work directory)"""
    runs: tuple[str, ...]
    environment: dict[str, str]
    user: str
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    volumes: tuple[str, ...] = field(default=())

    @property
    def pip_installs(self) -> list[list[str]]:
        """The arguments of every `pip install`, in order."""
        commands = [shlex.split(run) for run in self.runs]
        return [command[2:] for command in commands if command[:2] == ["pip", "install"]]


def read_dockerfile(path: Path) -> Image:
    """The image that a Dockerfile's last stage describes, without what it takes from earlier ones."""
    lines = [line for line in path.read_text("utf-8").splitlines() if line.strip() and not line.startswith("#")]
    stage = lines[max(number for number, line in enumerate(lines) if line.startswith("FROM ")) :]
    instructions = [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in stage)]

    def every(word: str) -> list[str]:
        return [rest for instruction, rest in instructions if instruction == word]

    copies: list[tuple[str, str]] = []
    for rest in (rest for rest in every("COPY") if not rest.startswith("--from=")):
        *sources, destination = rest.split()
        for source in sources:
            is_folder = destination.endswith("/")
            copies.append((source, destination + Path(source).name if is_folder else destination))
    variables = [shlex.split(rest) for rest in every("ENV")]
    return Image(
        workdir=every("WORKDIR")[-1],
        copies=tuple(copies),
        runs=tuple(every("RUN")),
        environment=dict(pair.split("=", 1) for pairs in variables for pair in pairs),
        user=every("USER")[-1],
        entrypoint=tuple(json.loads(every("ENTRYPOINT")[-1])),
        command=tuple(json.loads(every("CMD")[-1])),
        volumes=tuple(every("VOLUME")),
    )


def lay_out(image: Image, folder: Path) -> None:
    """Copies into `folder`, as the image's work directory, what the image's COPY lines bring."""
    for source, destination in image.copies:
        path = folder / destination
        path.parent.mkdir(parents=True, exist_ok=True)
        if (CHECKOUT / source).is_dir():
            shutil.copytree(CHECKOUT / source, path, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(CHECKOUT / source, path)


def read_compose(name: str = "docker-compose.yml") -> dict[str, Any]:
    """A compose file of the checkout, its anchors resolved."""
    return yaml.safe_load((CHECKOUT / name).read_text("utf-8"))
