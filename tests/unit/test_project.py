import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.distributions import closure, imported_modules, modules_of, modules_outside
from tests.support.images import CHECKOUT

README = (CHECKOUT / "README.md").read_text("utf-8")
PINS = [
    Requirement(line)
    for line in (CHECKOUT / "constraints.txt").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
]


def run(*command: str | Path, cwd: Path = CHECKOUT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env=environment or None, capture_output=True, text=True, check=False, timeout=100
    )


# --- Makefile and .ci/run ---------------------------------------------------------------------------------------


def test_make_alone_lists_every_target_with_a_description() -> None:
    makefile = (CHECKOUT / "Makefile").read_text("utf-8")
    declared = set(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split())
    listed = dict(re.findall(r"^make (\S+) +(\S.*)$", run("make").stdout, re.MULTILINE))
    assert set(listed) == {*declared, "bench-NAME"}
    assert {"help", "demo", "test", "check", "format", "serve", "clean"} <= declared


def test_every_benchmark_is_listed_in_its_folder() -> None:
    makefile = (CHECKOUT / "bench" / "Makefile").read_text("utf-8")
    declared = set(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split())
    listed = set(re.findall(r"^make bench-(\S+) +\S", run("make", "-C", "bench").stdout, re.MULTILINE))
    assert listed == declared
    named = {
        name
        for path in (CHECKOUT / "docs").glob("*.md")
        for name in re.findall(r"`make bench-([a-z-]+)", path.read_text())
    }
    assert named <= listed


@pytest.mark.parametrize("built", [True, False])
def test_without_the_npm_registry_make_goes_on_and_says_what_the_service_shows(tmp_path: Path, *, built: bool) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("bin/python", "installed", *(["index.html"] if built else [])):
        (tmp_path / name).touch()
    page, modules = tmp_path / "index.html", tmp_path / "modules"
    ran = run(
        "make",
        "--no-print-directory",
        "try-dashboard",
        f"VENV={tmp_path}",
        f"PAGES={page}",
        f"MODULES={modules}",
        "NPM=false",
    )
    assert ran.returncode == 0
    shown = "The service shows those that were built before." if built else "The service runs without them"
    assert shown in ran.stdout
    assert "the npm registry cannot be reached" in ran.stdout
    assert ran.stdout.endswith("Once the registry answers: make dashboard\n")


def test_the_make_targets_that_the_readme_names_exist() -> None:
    listed = set(re.findall(r"^make (\S+)", run("make").stdout, re.MULTILINE))
    named = set(re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)", README, re.MULTILINE))
    assert {target for pair in named for target in pair if target} <= listed


def test_the_links_and_pictures_of_the_readme_exist() -> None:
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", README) if not target.startswith("http")]
    assert targets
    assert [target for target in targets if not (CHECKOUT / target).is_file()] == []


def test_the_project_files_leave_the_package_index_to_pip() -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "docker/api.Dockerfile", "docker/worker.Dockerfile"):
        assert not re.search(r"index-url|find-links|https?://", (CHECKOUT / name).read_text("utf-8")), name


@pytest.mark.parametrize(
    ("closing_line", "exit_status"),
    [("===== 12 passed, 3 skipped in 4.56s =====", 0), ("===== 3 skipped in 0.12s =====", 1), ("0 passed", 1), ("", 1)],
)
def test_ci_fails_when_no_test_ran(tmp_path: Path, closing_line: str, exit_status: int) -> None:
    make = tmp_path / "make"
    make.write_text(f"#!/bin/sh\necho '{closing_line}'\n")
    make.chmod(0o755)
    assert run(CHECKOUT / ".ci/run", PATH=f"{tmp_path}:/usr/bin:/bin").returncode == exit_status


@pytest.mark.parametrize("failing", ["check", "test"])
def test_ci_fails_when_a_step_fails(tmp_path: Path, failing: str) -> None:
    make = tmp_path / "make"
    make.write_text(f'#!/bin/sh\necho "12 passed"\n[ "$1" != {failing} ]\n')
    make.chmod(0o755)
    assert run(CHECKOUT / ".ci/run", PATH=f"{tmp_path}:/usr/bin:/bin").returncode != 0


# --- pins -------------------------------------------------------------------------------------------------------


def test_everything_that_any_extra_brings_is_pinned_exactly() -> None:
    assert all(re.fullmatch(r"==[^*,]+", str(pin.specifier)) for pin in PINS)
    pinned = {canonicalize_name(pin.name) for pin in PINS if pin.marker is None or pin.marker.evaluate()}
    assert closure(["server", "train", "traces", "dev"]) - pinned == {"ganclinic"}


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("ganclinic", []),
        ("api", ["server"]),
        ("store", ["server", "traces"]),
        ("migrations", ["server"]),
        ("worker", ["server", "train"]),
        ("ganlib", ["server", "train"]),
        ("bench", ["server", "train", "dev"]),
        ("tests", ["server", "train", "dev"]),
    ],
)
def test_everything_that_is_imported_is_brought_by_an_extra(folder: str, extras: list[str]) -> None:
    own = {"api", "bench", "ganclinic", "ganlib", "migrations", "store", "tests", "worker"}
    assert imported_modules(CHECKOUT / folder) - own - modules_of(closure(extras)) == set()


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_torch_and_torchvision_are_pinned_as_a_pair(machine: str) -> None:
    pins = [pin for pin in PINS if pin.marker is None or pin.marker.evaluate({"platform_machine": machine})]
    (torch,) = [str(pin.specifier) for pin in pins if pin.name == "torch"]
    (torchvision,) = [str(pin.specifier) for pin in pins if pin.name == "torchvision"]
    minor = {name: int(version.split(".")[1]) for name, version in (("torch", torch), ("torchvision", torchvision))}
    assert minor["torchvision"] == minor["torch"] + 15  # torch 2.n goes with torchvision 0.(n + 15)


# --- what others install ----------------------------------------------------------------------------------------


def test_the_wheel_holds_the_client_and_the_library_and_nothing_else(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, source)
    for name in ("api", "ganclinic", "ganlib", "store", "worker", "migrations"):
        shutil.copytree(CHECKOUT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation")
    built = run(*pip, "--wheel-dir", tmp_path, ".", cwd=source)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        (entry_points,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        assert "ganclinic = ganclinic.cli:main" in archive.read(entry_points).decode()
    folders = [source / "ganclinic", source / "ganlib"]
    expected = {str(path.relative_to(source)) for folder in folders for path in folder.rglob("*") if path.is_file()}
    assert names == expected


@pytest.fixture(scope="module")
def blocked() -> list[str]:
    """Modules that the base install does not bring."""
    modules = sorted(modules_outside(closure()) | {"api", "store", "worker"})
    assert {"torch", "fastapi", "celery", "sqlalchemy"} <= set(modules)
    return modules


def run_without(blocked: list[str], code: str) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-c", f"import sys; sys.modules.update(dict.fromkeys({blocked!r}))\n{code}")


def test_the_command_line_runs_with_the_base_install_alone(blocked: list[str]) -> None:
    done = run_without(blocked, "from ganclinic.cli import main; sys.exit(main(['--help']))")
    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout


@pytest.mark.parametrize("package", ["ganclinic", "ganlib.diagnosis"])
def test_every_module_of_the_client_and_the_diagnosis_imports_with_the_base_install_alone(
    blocked: list[str], package: str
) -> None:
    done = run_without(
        blocked,
        f"import importlib, pkgutil, {package} as package\n"
        "for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "    if not module.name.endswith('__main__'): importlib.import_module(module.name)\n",
    )
    assert done.returncode == 0, done.stderr


def test_specs_can_be_written_and_checked_with_the_base_install_alone(blocked: list[str]) -> None:
    done = run_without(blocked, "import ganlib.spec.run, ganlib.spec.preset, ganlib.spec.request, ganlib.records")
    assert done.returncode == 0, done.stderr
