"""Notices a write to the configuration, as zot does: to the inode that was there at the start, no other.

zot (fsnotify) watches that inode. A file put in its place by rename is another inode and is not noticed; a write
to the old one through a second link is, and then the file is read by its path. Holding the inode open and looking
at it again and again does the same on every system; a touch changes no content and is no write.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

INTERVAL = 0.05


class Watch:
    """Holds the inode that ``path`` names now."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY)
        self._seen, self._digest = self._stamp(), self._content()

    def _stamp(self) -> tuple[int, int]:
        status = os.fstat(self._file)
        return status.st_size, status.st_mtime_ns

    def _content(self) -> bytes:
        content = b"".join(iter(lambda offset=[0]: self._read(offset), b""))  # type: ignore[misc]
        return hashlib.sha256(content).digest()

    def _read(self, offset: list[int]) -> bytes:
        data = os.pread(self._file, 1 << 16, offset[0])
        offset[0] += len(data)
        return data

    def written(self) -> bool:
        """Whether the inode was written to since the last time that this was asked."""
        if (stamp := self._stamp()) == self._seen:
            return False
        digest = self._content()
        changed = digest != self._digest
        self._seen, self._digest = stamp, digest
        return changed

    async def run(self, on_write: Callable[[], None]) -> None:
        """Call ``on_write`` after each write, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            if self.written():
                on_write()

    def close(self) -> None:
        os.close(self._file)
