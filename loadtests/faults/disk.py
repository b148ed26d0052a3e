"""A disk that is small enough to fill up."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE_MIB = 200


class CannotMountError(Exception):
    """This user may not mount a file system, or not on this machine."""


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a small file system in memory on the folder.

    Raises:
        CannotMountError: nothing was mounted.
    """
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode != 0:
        raise CannotMountError(done.stderr.strip())
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Keep the disk full, to the last byte."""
    ballast = disk / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file:
            for block_bytes in (1024 * 1024, 4096, 1):
                while True:
                    try:
                        file.write(b"\0" * block_bytes)
                    except OSError:
                        break
        yield
    finally:
        ballast.unlink()
