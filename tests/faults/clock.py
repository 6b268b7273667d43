"""A wall clock of a stack's own, which can be stepped under all of its processes at once (`clock.c`, preloaded)."""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

_SOURCE = Path(__file__).with_name("clock.c")


COMPILERS = ("cc", "gcc", "clang")


class NoCompilerError(RuntimeError):
    """Clocks are stepped on Linux, with a C compiler: on Debian and Ubuntu, apt-get install gcc libc6-dev."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class Clock:
    """Start a stack with its `environment`. Offsets are seconds; every process sees a new one at its next look."""

    def __init__(self) -> None:
        compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
        if compiler is None or sys.platform != "linux":
            raise NoCompilerError
        self._directory = Path(tempfile.mkdtemp(prefix="attend-clock-"))
        # Postgres may run as another user.
        self._directory.chmod(0o755)
        library, file = self._directory / "clock.so", self._directory / "offsets"
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, _SOURCE, "-ldl"], check=True)
        file.write_bytes(bytes(16))
        with file.open("r+b") as opened:
            self._offsets = mmap.mmap(opened.fileno(), 16)
        self.environment = {"LD_PRELOAD": str(library), "ATTEND_CLOCK": str(file)}

    @property
    def offset(self) -> int:
        """Seconds that everybody is ahead of the machine."""
        return struct.unpack_from("q", self._offsets, 0)[0]

    def put(self, offset: int) -> None:
        """Everybody agrees on it."""
        self._write(offset, 0)

    def step(self, seconds: int) -> None:
        """Everybody's clock jumps."""
        self._write(self.offset + seconds, struct.unpack_from("q", self._offsets, 8)[0])

    def skew(self, seconds: int) -> None:
        """So far are functions and gateway from the database from now on."""
        self._write(self.offset, seconds)

    def close(self) -> None:
        """Remove its files; nobody may still run by it."""
        self._offsets.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _write(self, everybody: int, others: int) -> None:
        struct.pack_into("qq", self._offsets, 0, everybody, others)
