"""What a start does not wait for: modules that are imported only where they are needed."""

import subprocess
import sys

import pytest

SPECS = ("ganlib.spec.run", "ganlib.spec.request", "ganlib.spec.networks")
HELP = ("pydantic", "rich", "httpx", "numpy", "yaml", "importlib.metadata", "ganclinic.client", *SPECS)
LS = ("numpy", "yaml", "ganlib.diagnosis.rules", "ganlib.foreign_logs.history", "ganlib.wire.treatments", *SPECS)
API = ("matplotlib", "alembic", "celery", "kombu", "redis", "torch", "sklearn", "scipy")


def imported(code: str) -> set[str]:
    """Modules that a fresh process has imported after this code, which may exit."""
    script = f"import sys\ntry:\n    {code}\nexcept SystemExit: pass\nprint('modules:', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("modules: ")[2].split())


def ls_up_to_its_request() -> str:
    """The command, with a transport that ends it where the request would go out."""
    return (
        "import httpx; from ganclinic.cli import main; from ganclinic.client import Client; "
        "end = httpx.MockTransport(lambda request: sys.exit(0)); "
        "main(['ls', '--url', 'http://clinic.test'], connect=lambda url, token: Client(url, token, end))"
    )


@pytest.mark.parametrize(
    ("code", "expected", "heavy"),
    [
        ("from ganclinic.cli import main; main(['--help'])", "ganclinic.cli.parser", HELP),
        (ls_up_to_its_request(), "ganclinic.transport", LS),
        ("import api.app", "fastapi", API),
    ],
    ids=["help", "ls", "api"],
)
def test_a_start_does_not_import_what_it_does_not_need(code: str, expected: str, heavy: tuple[str, ...]) -> None:
    modules = imported(code)
    assert expected in modules
    assert not modules & set(heavy)


def test_the_package_has_every_name_that_it_promises() -> None:
    import ganclinic
    from ganclinic import views

    for package in (ganclinic, views):
        assert all(getattr(package, name) is not None for name in package.__all__)
        with pytest.raises(AttributeError, match="no attribute 'nope'"):
            _ = package.nope
