"""What a process that reads model files gives up first: models may be hostile, and some formats are programs.

Everything here works without privileges, also in a pod of the restricted Pod Security standard. Each measure holds
where the kernel has it (Linux; Landlock since 5.13); `restrict` says which do. What stays possible is to read files
and to take processor time. Sources: landlock(7), seccomp(2) and their headers in the kernel's `include/uapi/linux`.
"""

import ctypes
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Mapping
from pathlib import Path

_KEPT = {"PATH", "LANG", "LANGUAGE", "TZ", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "CUDA_VISIBLE_DEVICES", "SYSTEMROOT"}
_KEPT_BEGINNINGS = ("LC_", "PYTHON", "OMP_", "MALLOC_", "TF_CPP_", "TF_ENABLE_", "COVERAGE_")

_NO_NEW_PRIVILEGES, _DEATH_SIGNAL = 38, 1
_CAPABILITY_VERSION, _READ_ALL_FILES = 0x20080522, 1 << 2
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_EXECUTE, _WRITE_FILE = 1 << 0, 1 << 1
_REMOVE_AND_MAKE = sum(1 << bit for bit in range(4, 13))
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_TCP = 0b11
_SIGNALS_AND_ABSTRACT_SOCKETS = 0b11

_SECCOMP = {"x86_64": 317, "aarch64": 277}
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_REFUSED = {
    # socket fork vfork execve execveat ptrace process_vm_readv process_vm_writev pidfd_getfd mount unshare setns bpf
    # keyctl
    "x86_64": (41, 57, 58, 59, 322, 101, 310, 311, 438, 165, 272, 308, 321, 250),
    "aarch64": (198, 221, 281, 117, 270, 271, 438, 40, 97, 268, 280, 219),
}
_CLONE = {"x86_64": 56, "aarch64": 220}
_UNKNOWN = (435, 425)
"""clone3, whose flags a filter can't see, and io_uring_setup, which would go around it: libraries do without them."""
_CLONE_THREAD = 0x10000
_X32 = 0x40000000
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_EPERM, _ENOSYS = 1, 38


def environment_without_secrets(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Returns what frameworks need of an environment, with all temporary and home folders in `folder`."""
    kept = {name: value for name, value in environment.items() if name in _KEPT or name.startswith(_KEPT_BEGINNINGS)}
    # A thread for each core would take memory of each, and add numbers up in another order on another machine.
    kept = {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"} | kept
    return kept | dict.fromkeys(("HOME", "TMPDIR", "TEMP", "TMP", "XDG_CACHE_HOME"), str(folder))


def restrict(writable: Path, *, max_memory: int, max_file: int) -> list[str]:
    """Gives up what converting a model doesn't need, for the rest of this process; returns what is in force.

    It must be called before there are threads: they would keep their rights.

    Args:
        writable: the one folder in which files can be written from now on.
        max_memory: bytes that this process may allocate.
        max_file: bytes that one file may have.
    """
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, max_file)
    _limit(resource.RLIMIT_DATA, max_memory)
    in_force = [f"at most {max_memory:,} bytes of memory"]
    if sys.platform != "linux":
        return in_force
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)  # whoever started it may be killed, too
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    _drop_capabilities(libc)
    if (version := _landlock(libc, writable)) > 0:
        in_force.append(f"writes only in {writable} (Landlock {version})")
    if _seccomp(libc, platform.machine()):
        in_force.append("no network and no other programs (seccomp)")
    return in_force


def _limit(which: int, most: int) -> None:
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(which, (most, most))


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """For root: Landlock doesn't judge all that its capabilities allow, such as to look into other processes."""
    header, sets = struct.pack("=Ii", _CAPABILITY_VERSION, 0), ctypes.create_string_buffer(24)
    if libc.capget(header, sets) == 0:
        permitted = struct.unpack("=6I", sets.raw)[1] & _READ_ALL_FILES
        libc.capset(header, struct.pack("=6I", permitted, permitted, 0, 0, 0, 0))


def _landlock(libc: ctypes.CDLL, writable: Path) -> int:
    """Returns the version of Landlock that is in force, or 0."""
    version: int = libc.syscall(_CREATE_RULESET, None, 0, 1)
    if version < 1:
        return 0
    writing = _WRITE_FILE | _REMOVE_AND_MAKE
    writing |= (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    attributes = struct.pack("=QQQ", writing | _EXECUTE, _TCP, _SIGNALS_AND_ABSTRACT_SOCKETS)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = libc.syscall(_CREATE_RULESET, attributes, size, 0)
    if ruleset < 0:
        return 0
    try:
        allowed = _allow(libc, ruleset, writable, writing)
        # Frameworks send there what nobody should hear.
        allowed = allowed and _allow(libc, ruleset, Path(os.devnull), _WRITE_FILE)
        return version if allowed and libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0 else 0
    finally:
        os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, access: int) -> bool:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        return bool(libc.syscall(_ADD_RULE, ruleset, 1, struct.pack("=Qi", access, place), 0) == 0)
    finally:
        os.close(place)


def _seccomp(libc: ctypes.CDLL, machine: str) -> bool:
    """Whether the filter is in force from now on, for all threads that there are."""
    if machine not in _ARCHITECTURES:
        return False
    program = _filter(machine)
    held = ctypes.create_string_buffer(program)
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(held))
    return bool(libc.syscall(_SECCOMP[machine], 1, 1, header) == 0)


def _filter(machine: str) -> bytes:
    """Returns the program, in classic BPF, that judges each call to the kernel (`struct seccomp_data`)."""

    def refused(number: int) -> list[bytes]:
        return [_step(_RETURN, _ERROR | number)]

    def when(test: int, value: int, then: list[bytes]) -> list[bytes]:
        return [_step(test, value, 0, len(then)), *then]

    threads_only = [_step(_LOAD, 16), *when(_IF_BITS, _CLONE_THREAD, [_step(_RETURN, _ALLOW)]), *refused(_EPERM)]
    steps = [_step(_LOAD, 4), _step(_IF_EQUAL, _ARCHITECTURES[machine], 1, 0), *refused(_EPERM), _step(_LOAD, 0)]
    if machine == "x86_64":
        steps += when(_IF_AT_LEAST, _X32, refused(_EPERM))
    for call in _REFUSED[machine]:
        steps += when(_IF_EQUAL, call, refused(_EPERM))
    for call in _UNKNOWN:
        steps += when(_IF_EQUAL, call, refused(_ENOSYS))
    steps += when(_IF_EQUAL, _CLONE[machine], threads_only)
    return b"".join([*steps, _step(_RETURN, _ALLOW)])


def _step(code: int, value: int, jump_true: int = 0, jump_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, jump_true, jump_false, value)
