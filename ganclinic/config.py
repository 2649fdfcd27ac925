"""Where the service is, and which token it takes. The only reader of the environment in this package.

The first of these that names a URL wins, and a token goes only to the service that it was given for:

1. the options --url and --token
2. GANCLINIC_URL and GANCLINIC_TOKEN
3. `url` and `token` in ~/.config/ganclinic/config.toml
4. the service that `ganclinic up` runs from the state directory: GANCLINIC_HOME, or the nearest `.ganclinic` upward
"""

import getpass
import json
import os
import shutil
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ganclinic.errors import InvalidInput, ServiceNotFound

try:
    import fcntl
except ImportError:  # Windows, where no `ganclinic up` runs
    fcntl = None

HOME_NAME = ".ganclinic"
LOCK = "up.lock"
"""The file in a state directory that a running `ganclinic up` has locked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A service's URL and the token for it."""

    url: str
    token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigSources:
    """What the configuration is read from."""

    environ: Mapping[str, str]
    cwd: Path
    user_home: Path

    @classmethod
    def real(cls) -> "ConfigSources":
        """The environment, the working directory and the home directory of this process."""
        return cls(environ=dict(os.environ), cwd=Path.cwd(), user_home=Path.home())

    def variable(self, name: str) -> str | None:
        """The environment variable GANCLINIC_<name>; None when unset or empty."""
        return self.environ.get(f"GANCLINIC_{name}") or None


def user_name(around: ConfigSources) -> str | None:
    """Who is logged in; None where nothing says so."""
    named = next((name for key in ("LOGNAME", "USER", "USERNAME") if (name := around.environ.get(key))), None)
    if named is not None:
        return named
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # this process's user has no account here
        return None


def find_home(around: ConfigSources) -> Path:
    """The state directory, absolute: GANCLINIC_HOME, else the nearest `.ganclinic` upward, else one here (not made)."""
    chosen = around.variable("HOME")
    if chosen is not None:
        return (around.cwd / Path(chosen).expanduser()).absolute()
    for folder in (around.cwd, *around.cwd.parents):
        if _is_our_folder(folder / HOME_NAME):
            return folder / HOME_NAME
    return around.cwd / HOME_NAME


def _is_our_folder(folder: Path) -> bool:
    """A stranger's folder in /tmp, say, must not decide which service we talk to."""
    try:
        return folder.is_dir() and (not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid())
    except OSError:
        return False


def program_name(around: ConfigSources) -> str:
    """What a person types to run this program: its name, or its path where that is not on the search path."""
    if shutil.which("ganclinic", path=around.environ.get("PATH")) is not None:
        return "ganclinic"
    beside = Path(sys.executable).parent / "ganclinic"
    if not beside.is_file():
        return "python -m ganclinic"
    return str(beside.relative_to(around.cwd) if beside.is_relative_to(around.cwd) else beside)


def find_service(around: ConfigSources, *, url: str | None = None, token: str | None = None) -> Address:
    """The service to talk to.

    Raises:
        ServiceNotFound: nobody names one.
        InvalidInput: the configuration file cannot be read.
    """
    given_token = token or around.variable("TOKEN")
    known = [address for address in (_from_config(around), running_service(find_home(around))) if address is not None]
    wanted = url or around.variable("URL")
    if wanted is not None:
        known_token = next((a.token for a in known if _same(a.url, wanted)), None)
        return Address(url=_checked(wanted), token=given_token or known_token)
    if not known:
        raise ServiceNotFound
    return Address(url=_checked(known[0].url), token=given_token or known[0].token)


def running_service(home: Path) -> Address | None:
    """The service that `ganclinic up` runs from this state directory; None when none does."""
    described = _service_file(home)
    if described is None or not is_held(home):
        return None
    return Address(url=described["url"], token=read_token(home))


def read_token(home: Path) -> str | None:
    """The token that the service made in its state directory; None without one, or where we may not read it."""
    try:
        return (home / "token").read_text("utf-8").strip() or None
    except OSError:
        return None


def _service_file(home: Path) -> dict[str, Any] | None:
    try:
        document = json.loads((home / "service.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(document, dict):
        return None
    described = cast("dict[str, Any]", document)
    return described if isinstance(described.get("url"), str) else None


def is_held(home: Path) -> bool:
    """Whether a `ganclinic up` runs from this state directory: whether somebody has locked its `up.lock`.

    A killed `up` leaves its description behind, and both its port and its process id may belong to a stranger, who must
    not get the token. Its lock went with it.
    """
    if fcntl is None:
        return False
    try:
        with (home / LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # let go of with the file, within microseconds
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _from_config(around: ConfigSources) -> Address | None:
    folder = around.environ.get("XDG_CONFIG_HOME")
    file = (Path(folder) if folder else around.user_home / ".config") / "ganclinic" / "config.toml"
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InvalidInput(f'{file} cannot be read: {error}. It holds two lines: url = "…" and token = "…".') from None
    if "url" not in document:
        return None
    token = document.get("token")
    return Address(url=str(document["url"]), token=str(token) if token else None)


def _checked(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise InvalidInput(
            f"'{url}' is not a service's URL: it starts with http:// or https://, as http://127.0.0.1:8000 does."
        )
    return url.rstrip("/")


def _same(one: str, other: str) -> bool:
    return one.rstrip("/") == other.rstrip("/")
