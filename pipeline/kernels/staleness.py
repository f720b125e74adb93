"""Compiled kernels of former sources: numba keeps them, for it looks at a kernel's own file only.

A kernel that calls one of another file has that one's code within it, and is not compiled anew when only the other
file changed. After an upgrade, a pull or a rebase such a mixture would judge by two releases at once.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

__all__ = ["forget_stale"]

STAMP = "kernels.sha256"


def forget_stale(folder: Path) -> None:
    """Remove what numba keeps of the files in a folder, unless it was compiled of just these.

    Where the folder may not be written nothing can be removed, and numba keeps what it compiles elsewhere or nowhere.
    """
    sources = sorted(folder.glob("*.py"))
    digest = hashlib.sha256(b"\0".join(path.name.encode() + b"\0" + path.read_bytes() for path in sources)).hexdigest()
    kept = folder / "__pycache__"
    stamp = kept / STAMP
    with contextlib.suppress(OSError):
        if stamp.exists() and stamp.read_text() == digest:
            return
        for compiled in (*kept.glob("*.nbi"), *kept.glob("*.nbc")):
            compiled.unlink(missing_ok=True)
        kept.mkdir(exist_ok=True)
        stamp.write_text(digest)
