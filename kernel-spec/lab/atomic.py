"""Atomic writes: a file appears complete or not at all. The library's src/fs/atomic.rs does the same."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path

try:
    import fcntl
except ModuleNotFoundError:
    # Windows, where an open file can neither be renamed nor removed: there it needs no lock.
    fcntl = None

# Temporary files of the library and of these programs.
PREFIX = ".metamers-"


def write_atomic(path: str | Path, content: str) -> None:
    """Replaces a file's content atomically and keeps the file's permissions; a link is followed and stays a link.

    Removes the temporary files that killed processes left in the folder. Does not replace a device, a pipe or a socket.
    """
    target = Path(os.path.realpath(path))
    data = content.encode("utf-8")
    mode = target.stat().st_mode if target.exists() else None
    if mode is not None and not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a device, a pipe or a socket"
        raise OSError(errno.EINVAL, f"it is {kind}", str(path))
    remove_strays(target.parent)
    temporary, descriptor = create_locked(target.parent)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 (a descriptor has no path)
            file.write(data)
            if mode is not None:
                temporary.chmod(stat.S_IMODE(mode))
            file.flush()
            os.fsync(file.fileno())
            if fcntl is not None:
                # The lock ends when the file is closed, after it has its name.
                temporary.replace(target)
        if fcntl is None:
            temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def create_locked(folder: Path) -> tuple[Path, int]:
    """Creates a temporary file, locked so that other processes see its writer lives; returns path and descriptor."""
    while True:
        path = folder / f"{PREFIX}{secrets.token_hex(6)}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        # On a file system without locks, no process takes it for a stray either.
        with contextlib.suppress(OSError):
            lock(descriptor)
        # Another process may have removed it before it was locked.
        if path.exists():
            return path, descriptor
        os.close(descriptor)


def lock(descriptor: int) -> None:
    """Locks a file, or raises an OSError if another process has locked it."""
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def remove_strays(folder: Path) -> None:
    """Removes the temporary files in a folder that no process has locked. Errors are ignored: this is tidying."""
    for path in folder.glob(f"{PREFIX}*"):
        if path.is_symlink() or not path.is_file():
            continue
        with contextlib.suppress(OSError):
            if fcntl is None:
                # Fails while a writer has it open.
                path.unlink()
                continue
            descriptor = os.open(path, os.O_WRONLY)
            try:
                lock(descriptor)
                path.unlink()
            finally:
                os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Writes a folder's entries to the disk, where the system can, so that a rename survives a power failure."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
