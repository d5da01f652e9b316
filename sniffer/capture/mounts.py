"""Whether a file system that a recording writes to is still there.

Where a mount vanishes, its mount point stays: an ordinary folder, of another file system. What were written there would be
hidden when the mount comes back, and what stood there before would seem to be gone.
"""

from __future__ import annotations

import os
from pathlib import Path


class Mount:
    """The mount point that holds `folder` now."""

    def __init__(self, folder: Path) -> None:
        resolved = folder.resolve()
        self.point = next(path for path in (resolved, *resolved.parents) if os.path.ismount(path))

    @property
    def gone(self) -> str | None:
        """Why nothing is to be written there for now; None: it is mounted."""
        return None if os.path.ismount(self.point) else f"nothing is mounted at {self.point} any more; mount it again"
