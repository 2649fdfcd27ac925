"""Takes from this process what a decoder of pictures has no use for: other files, the network, other programs.

By two means of Linux that need no rights: Landlock closes files, and seccomp closes calls of the kernel. What a kernel
does not have is left out, and on other systems both are: `docs/operations.md` says what is closed then. What it has and
does not put up ends the process.
"""

import ctypes
import errno
import os
import platform
import struct
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

PR_SET_NO_NEW_PRIVS, PR_GET_SECCOMP, PR_SET_SECCOMP = 38, 21, 22  # <linux/prctl.h>

# Landlock: <linux/landlock.h>. The numbers of its calls are the same on every machine.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
VERSION, BENEATH = 1, 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, MAKE_REG, TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 8, 1 << 14
LIBRARIES = EXECUTE | READ_FILE | READ_DIR  # the loader maps them to be executed
SCRATCH = WRITE_FILE | READ_FILE | READ_DIR | MAKE_REG | TRUNCATE
RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}
"""How many kinds of access to files a version knows, a bit each; those between know as many as the one before."""
TCP, ABSTRACT_SOCKETS_AND_SIGNALS = 0b11, 0b11
TCP_SINCE, SCOPE_SINCE = 4, 6

# seccomp: <linux/seccomp.h>, <linux/audit.h>, <linux/bpf_common.h>.
FILTER = 2
ALLOW = 0x7FFF0000
REFUSE, UNKNOWN = 0x00050000 | errno.EACCES, 0x00050000 | errno.ENOSYS  # as where the kernel has no such call
LOAD, EQUAL, AT_LEAST, ANY_OF, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER_AT, MACHINE_AT, ARGUMENTS_AT = 0, 4, 16  # in struct seccomp_data
ANOTHER_TABLE = 0x4000_0000  # x86-64 has its calls twice: from here on for x32
MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
CLONE_THREAD = 0x0001_0000
CALLS: dict[str, tuple[int | None, int | None]] = {  # (x86-64, arm64); None where it does not exist
    "socket": (41, 198),
    "socketpair": (53, 199),
    "io_uring_setup": (425, 425),  # does what other calls do, sockets among it
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, None),
    "vfork": (58, None),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "open_by_handle_at": (304, 265),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    # Landlock knows none of these on files that may be read.
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "getxattr": (191, 8),
    "lgetxattr": (192, 9),
    "fgetxattr": (193, 10),
    "getxattrat": (464, 464),
    "listxattr": (194, 11),
    "llistxattr": (195, 12),
    "flistxattr": (196, 13),
    "listxattrat": (465, 465),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
    "truncate": (76, 45),
    "creat": (85, None),
    "setrlimit": (160, 164),
}


def raise_walls(scratch: Path) -> None:
    """From now on this process reads Python's own files and the libraries, writes into `scratch`, and that is all.

    Files that are open already stay so.

    Raises:
        OSError: the kernel has one of both means, and refused it.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    _must(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")  # without which both take rights
    _close_files(libc, scratch)
    _close_calls(libc)


def landlock_version() -> int:
    """Of the kernel; 0 where it has none, or has it turned off."""
    if sys.platform != "linux":
        return 0
    return max(0, ctypes.CDLL(None).syscall(CREATE_RULESET, None, ctypes.c_size_t(0), VERSION))


def _close_files(libc: ctypes.CDLL, scratch: Path) -> None:
    version = landlock_version()
    if version < 1:
        return
    known = (1 << RIGHTS[max(since for since in RIGHTS if since <= version)]) - 1
    tcp = TCP if version >= TCP_SINCE else 0
    scope = ABSTRACT_SOCKETS_AND_SIGNALS if version >= SCOPE_SINCE else 0
    attributes = struct.pack("=QQQ", known, tcp, scope)[: 24 if scope else 16 if tcp else 8]
    ruleset = libc.syscall(CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    _must(ruleset, "Landlock")
    for folder in _libraries():
        _allow(libc, ruleset, folder, LIBRARIES)
    _allow(libc, ruleset, scratch, SCRATCH & known)
    _must(libc.syscall(RESTRICT_SELF, ruleset, 0), "Landlock")
    os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, folder: Path, rights: int) -> None:
    try:
        descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:  # there is none
        return
    libc.syscall(ADD_RULE, ruleset, BENEATH, struct.pack("=Qi", rights, descriptor), 0)
    os.close(descriptor)


def _libraries() -> Iterator[Path]:
    """Folders of Python's modules, of our own, and of the libraries that they load.

    Not what `PYTHONPATH` names: that is a checkout, which may have the service's home in it.
    """
    yield from (Path(path) for name, path in sysconfig.get_paths().items() if "lib" in name)
    yield Path(sysconfig.get_path("stdlib")).parent  # where an environment of conda keeps libraries, too
    for name in ("api", "ganlib"):
        yield Path(sys.modules[name].__file__ or "").parent
    more = os.environ.get("LD_LIBRARY_PATH", "")  # noqa: TID251  what the loader looks at, and no setting
    yield from (Path(path) for path in more.split(":") if path)
    yield from map(Path, ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"))


def _close_calls(libc: ctypes.CDLL) -> None:
    machine = MACHINES.get(platform.machine())
    if machine is None or libc.prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0:  # the kernel has none
        return
    program = _program(machine, list(MACHINES).index(platform.machine()))
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: how many instructions, and where they are
    whole = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    _must(libc.prctl(PR_SET_SECCOMP, FILTER, whole, 0, 0), "seccomp")


def _must(status: int, what: str) -> int:
    """What a call gave that the kernel has said it knows: a wall that does not stand lets no upload in."""
    if status < 0:
        raise OSError(ctypes.get_errno(), f"{what} could not be put up: {os.strerror(ctypes.get_errno())}")
    return status


Step = tuple[int, int, int, int]
"""An instruction of the filter: its code, steps to skip if true, if false, and its operand."""


def _program(machine: int, column: int) -> bytes:
    """Refuses these calls, new processes, and all calls of another machine's table; allows the others."""
    calls = [*((numbers, [ANSWER_REFUSE]) for numbers in CALLS.values()), *CALLS_BY_ARGUMENTS]
    steps: list[Step] = [
        (LOAD, 0, 0, MACHINE_AT),
        (EQUAL, 1, 0, machine),
        ANSWER_REFUSE,
        (LOAD, 0, 0, NUMBER_AT),
        (AT_LEAST, 0, 1, ANOTHER_TABLE),
        ANSWER_REFUSE,
    ]
    for numbers, answer in calls:
        if (number := numbers[column]) is not None:
            steps += [(EQUAL, 0, len(answer), number), *answer]
    return b"".join(struct.pack("=HBBI", *step) for step in [*steps, ANSWER_ALLOW])


def _low_word_at(argument: int) -> int:
    """Where the filter finds the low half of an argument, of 8 bytes each; the high half is 4 bytes further."""
    return ARGUMENTS_AT + 8 * argument


ANSWER_ALLOW, ANSWER_REFUSE, ANSWER_UNKNOWN = ((RETURN, 0, 0, answer) for answer in (ALLOW, REFUSE, UNKNOWN))
THREADS_ONLY: list[Step] = [(LOAD, 0, 0, _low_word_at(0)), (ANY_OF, 0, 1, CLONE_THREAD), ANSWER_ALLOW, ANSWER_REFUSE]
OWN_LIMITS_TO_READ: list[Step] = [  # pid 0, and no new limit: that is a pointer
    *((LOAD, 0, 0, _low_word_at(0)), (EQUAL, 0, 5, 0)),
    *((LOAD, 0, 0, _low_word_at(2)), (EQUAL, 0, 3, 0)),
    *((LOAD, 0, 0, _low_word_at(2) + 4), (EQUAL, 0, 1, 0)),
    ANSWER_ALLOW,
    ANSWER_REFUSE,
]


def _not_emptied(flags: int) -> list[Step]:
    return [(LOAD, 0, 0, _low_word_at(flags)), (ANY_OF, 0, 1, os.O_TRUNC), ANSWER_REFUSE, ANSWER_ALLOW]


CALLS_BY_ARGUMENTS: list[tuple[tuple[int | None, int | None], list[Step]]] = [
    ((56, 220), THREADS_ONLY),  # clone
    ((435, 435), [ANSWER_UNKNOWN]),  # clone3, whose flags lie where a filter cannot look: libraries take clone then
    ((302, 261), OWN_LIMITS_TO_READ),  # prlimit64, by which the C library reads limits, too
    # Landlock knows files that are emptied as they are opened since its version 3.
    ((2, None), _not_emptied(1)),  # open
    ((257, 56), _not_emptied(2)),  # openat
    ((437, 437), [ANSWER_UNKNOWN]),  # openat2, as clone3
]
"""Calls that some arguments make harmless, or of which a filter cannot see the arguments."""
