"""Notices a write to the configuration, as zot does: to the inode that was there at the start, no other.

zot (fsnotify) watches that inode. A file put in its place by rename is another inode and is not noticed; a write
to the old one through a second link is, and then the file is read by its path. Where one of the names of the inode
is renamed, the watch ends for good. A touch or a change of mode is no write.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "linux":
    from asyncinotify import Inotify, Mask

    @contextmanager
    def watch(path: Path) -> Iterator[AsyncIterator[None]]:
        """The writes to the inode that ``path`` names now, one item each."""
        with Inotify() as inotify:
            inotify.add_watch(path, Mask.MODIFY | Mask.MOVE_SELF | Mask.DELETE_SELF)

            async def writes() -> AsyncIterator[None]:
                async for event in inotify:
                    if event.mask & (Mask.MOVE_SELF | Mask.DELETE_SELF):
                        return
                    if event.mask & Mask.MODIFY:
                        yield

            yield writes()

else:
    INTERVAL = 0.1

    @contextmanager
    def watch(path: Path) -> Iterator[AsyncIterator[None]]:
        """The writes to the inode that ``path`` names now, seen by what it holds; a rename is not seen."""
        file = os.open(path, os.O_RDONLY)

        async def writes() -> AsyncIterator[None]:
            seen = _content(file)
            while True:
                await asyncio.sleep(INTERVAL)
                if (content := _content(file)) != seen:
                    seen = content
                    yield

        try:
            yield writes()
        finally:
            os.close(file)


def _content(file: int) -> bytes:
    return os.pread(file, os.fstat(file).st_size, 0)
