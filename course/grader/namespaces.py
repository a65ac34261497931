"""A view of the machine for code that is not to be trusted: Linux namespaces, without any privilege.

Inside there is no network but a loopback of its own, no process but one's own, and of the files only the
system's, Python's and the course's, read-only. Everything that is written lies in memory and goes at the end.
Standard library only.
"""

import ctypes
import fcntl
import os
import socket
import struct
import sys
from pathlib import Path

NEW_USER, NEW_MOUNT, NEW_PROCESS, NEW_NETWORK, NEW_IPC = 0x10000000, 0x20000, 0x20000000, 0x40000000, 0x8000000
MS_RDONLY, MS_NOSUID, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
SYS_MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE = 442, -100, 0x8000
PR_SET_NO_NEW_PRIVS = 38
SOMEBODY = 65534
SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc", "opt", "nix")
DEVICES = ("null", "zero", "full", "random", "urandom")
MEMORY_DISK = "size=256m,nr_inodes=100k,mode=755"
OLD = "/.old"

libc = ctypes.CDLL(None, use_errno=True)


def leave_the_machine() -> None:
    """New namespaces for this process (user, network, IPC) and its future children (processes). Raises ``OSError``."""
    if sys.platform != "linux":
        raise OSError("only Linux has namespaces")
    user, group = os.getuid(), os.getgid()
    _call("unshare", NEW_USER | NEW_PROCESS | NEW_NETWORK | NEW_IPC)
    Path("/proc/self/setgroups").write_text("deny")
    # Nobody in there is root: an unprivileged user has no capabilities left after exec.
    Path("/proc/self/uid_map").write_text(f"{user or SOMEBODY} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group or SOMEBODY} {group} 1")
    _loopback_up()


def close_the_door(visible: list[str], hidden: list[str]) -> None:
    """A new root with the system, ``visible`` folders without the ``hidden`` ones, and an empty ``/tmp``.

    For the first process of a new process namespace. Raises ``OSError``.
    """
    _call("unshare", NEW_MOUNT)
    _mount("none", "/", "", MS_REC | MS_PRIVATE)
    _mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID, MEMORY_DISK)  # noqa: S108 - only a place that is always there
    os.mkdir("/tmp" + OLD)  # noqa: S108, PTH102
    _call("pivot_root", b"/tmp", b"/tmp" + OLD.encode())
    os.chdir("/")
    for name in SYSTEM:
        _show(f"/{name}")
    for place in sorted(visible):
        _show(place)
    for place in hidden:
        _hide(place)
    _devices()
    for place in ("/proc", "/tmp"):  # noqa: S108
        Path(place).mkdir(exist_ok=True)  # what is visible may lie in /tmp
    _mount("proc", "/proc", "proc", MS_NOSUID)
    _call("umount2", OLD.encode(), MNT_DETACH)
    os.rmdir(OLD)  # noqa: PTH106
    _call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _show(place: str) -> None:
    """Binds a folder of the old root, read-only; repeats a link."""
    before = Path(OLD + place)
    if before.is_symlink():
        Path(place).symlink_to(os.readlink(before))  # noqa: PTH115
        return
    if not before.is_dir() or Path(place).exists():
        return  # not on this machine, or inside of one that is there already
    Path(place).mkdir(parents=True)
    _mount(str(before), place, "", MS_BIND | MS_REC)
    _read_only(place)


def _hide(place: str) -> None:
    if Path(place).is_dir():
        _mount("tmpfs", place, "tmpfs", MS_RDONLY, "size=0,mode=555")
    elif Path(place).exists():
        _mount(f"{OLD}/dev/null", place, "", MS_BIND)


def _read_only(place: str) -> None:
    attributes = struct.pack("QQQQ", MS_RDONLY | MS_NOSUID, 0, 0, 0)
    try:
        _call("syscall", SYS_MOUNT_SETATTR, AT_FDCWD, place.encode(), AT_RECURSIVE, attributes, len(attributes))
    except OSError:  # before Linux 5.12; the flags it has already must be named again
        _mount("none", place, "", MS_BIND | MS_REMOUNT | MS_RDONLY | (os.statvfs(place).f_flag & 0xE))


def _devices() -> None:
    os.makedirs("/dev/shm")  # noqa: PTH103, S108
    for name in DEVICES:
        Path("/dev", name).touch()
        _mount(f"{OLD}/dev/{name}", f"/dev/{name}", "", MS_BIND)
    os.symlink("/proc/self/fd", "/dev/fd")  # noqa: PTH211


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        up_and_running = struct.pack("16sh14x", b"lo", 0x1 | 0x40)
        fcntl.ioctl(any_socket, 0x8914, up_and_running)


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    _call("mount", source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode())


def _call(name: str, *arguments: object) -> None:
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
