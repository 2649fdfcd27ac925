"""What this machine offers for training: GPUs, CPU cores, free ports."""

import errno
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping

from ganclinic.errors import PortTaken, StartFailed

GPU_QUERY_TIMEOUT_S = 10.0
MOST_CPU_WORKERS = 2


def count_gpus(environ: Mapping[str, str]) -> int:
    """NVIDIA GPUs that a training may use; asked of the driver, since loading torch takes seconds."""
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([part for part in visible.split(",") if part.strip() not in ("", "-1")])
    program = shutil.which("nvidia-smi", path=environ.get("PATH"))
    if program is None:
        return 0
    try:
        listed = subprocess.run(
            [program, "-L"], capture_output=True, text=True, timeout=GPU_QUERY_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


def count_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_workers(gpus: int, cores: int) -> int:
    """One for each GPU; without one, two where there are two cores."""
    return gpus or min(MOST_CPU_WORKERS, cores)


def free_port(host: str, port: int) -> int:
    """`port`, or for 0 any free one.

    Raises:
        PortTaken: another program listens there.
        StartFailed: `host` is no address of this machine, or we may not listen there.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(
                socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
            )  # as the API does: no waiting for old connections
            probe.bind(address)
            return int(probe.getsockname()[1])
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(host, port) from None
        raise StartFailed(
            f"The API cannot listen on {host}, port {port}: {error.strerror or error}. Choose with --host and --port."
        ) from None


def url_of(host: str, port: int) -> str:
    """The URL by which clients on this machine reach a server that listens there."""
    reachable = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  compared, not bound
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
