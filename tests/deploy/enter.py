"""Start a command as a container engine does: `unshare --mount --pid --net --ipc --uts --fork python enter.py JSON`.

The root is new and read-only, the user is without capabilities, and the command is process 1.
"""

import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 24, 38
_SIOCSIFFLAGS, _IFF_UP, _IFF_RUNNING = 0x8914, 0x1, 0x40


def main(told: dict[str, Any]) -> None:
    """Start the command of an image.

    Parameters
    ----------
    told
        ``root``: an empty folder; ``read``, ``written``: folders inside → folders of this machine; ``files``: files inside → text;
        ``links``: files inside → where they lead; ``devices``: names in /dev; ``user``, ``folder``, ``environment``, ``command``.
    """
    _bring_up_loopback()
    root = Path(told["root"])
    _mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", root)
    for place, text in told["files"].items():
        file = _inside(root, place)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
    for place, target in told["links"].items():
        _inside(root, place).parent.mkdir(parents=True, exist_ok=True)
        _inside(root, place).symlink_to(target)
    for place, source in told["read"].items():
        _bind(source, _inside(root, place))
        _mount("-o", "remount,bind,ro,nosuid", _inside(root, place))
    for place, source in told["written"].items():
        _bind(source, _inside(root, place))
    for name in told["devices"]:
        file = _inside(root, f"/dev/{name}")
        file.parent.mkdir(exist_ok=True)
        file.touch()
        _mount("--bind", f"/dev/{name}", file)
    for place, mode in (("/tmp", "1777"), ("/dev/shm", "1777")):  # noqa: S108 -- of the new root
        _inside(root, place).mkdir(parents=True)
        _mount("-t", "tmpfs", "-o", f"mode={mode},nosuid,nodev", "tmpfs", _inside(root, place))
    _inside(root, "/proc").mkdir()
    _mount("-t", "proc", "proc", _inside(root, "/proc"))
    _mount("-o", "remount,ro", root)
    os.chroot(root)
    os.chdir(told["folder"])
    _become(told["user"])
    os.execve(told["command"][0], told["command"], told["environment"])  # noqa: S606 -- a list of words, and no shell


def _inside(root: Path, place: str) -> Path:
    return root / place.lstrip("/")


def _bind(source: str, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    _mount("--bind", source, target)


def _mount(*words: str | Path) -> None:
    subprocess.run(["mount", *words], check=True)


def _bring_up_loopback() -> None:
    with socket.socket() as any_socket:
        asked = struct.pack("16sh14x", b"lo", _IFF_UP | _IFF_RUNNING)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, asked)


def _become(user: int) -> None:
    """Become a user that can never do more than it may."""
    libc = ctypes.CDLL(None)
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in range(last + 1):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(
        _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0
    )  # it ends with `unshare`; a change of user forgets that


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
