"""Where compiled kernels are kept between runs, and when they are forgotten.

numba looks at a kernel's own file only. A kernel that calls one of another file has that one's code within it, and is
not compiled anew when only the other file changed: after an upgrade, a pull or a rebase such a mixture would judge by
two releases at once. And where no folder may be written, as in a container that is read-only, numba refuses to begin.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import logging
import os
import shutil
import tempfile
from pathlib import Path

from numba.core import caching, config

__all__ = ["keep_compiled"]

log = logging.getLogger(__name__)

STAMP = "kernels.sha256"
# in the order in which numba tries them: NUMBA_CACHE_DIR, beside the code, the user's folder for caches
LOCATORS = (caching.UserProvidedCacheLocator, caching.InTreeCacheLocator, caching.UserWideCacheLocator)


def keep_compiled(folder: Path) -> None:
    """Say where the kernels of a folder are kept, before they are compiled, and forget those of former sources.

    Raises
    ------
    ImportError
        No folder at all may be written, not even one for this process alone.
    """
    kept = _kept(folder) or _kept_for_now(folder)
    sources = sorted(folder.glob("*.py"))
    digest = hashlib.sha256(b"\0".join(path.name.encode() + b"\0" + path.read_bytes() for path in sources)).hexdigest()
    stamp = kept / STAMP
    if stamp.exists() and stamp.read_text() == digest:
        return
    for compiled in (*kept.glob("*.nbi"), *kept.glob("*.nbc")):
        compiled.unlink(missing_ok=True)
    stamp.write_text(digest)


def _kept(folder: Path) -> Path | None:
    """Where numba will keep them, None if it finds no folder that may be written."""
    for locator in LOCATORS:
        with contextlib.suppress(OSError):
            if found := locator.from_function(_kept, str(folder / "__init__.py")):
                return Path(found.get_cache_path())
    return None


def _kept_for_now(folder: Path) -> Path:
    """A folder that lasts as long as this process; those that it starts find it as well.

    It has a name that nobody can guess, for what is found there is run.
    """
    try:
        room = tempfile.mkdtemp(prefix="foreshock-kernels-")
    except OSError as refused:
        told = f"compiled kernels need a folder: let NUMBA_CACHE_DIR name one to write to ({refused})"
        raise ImportError(told) from refused
    log.warning("each start compiles its kernels anew, for they can be kept nowhere: let NUMBA_CACHE_DIR name a folder")
    atexit.register(shutil.rmtree, room, ignore_errors=True)
    os.environ["NUMBA_CACHE_DIR"] = room
    config.reload_config()
    kept = _kept(folder)
    assert kept is not None, room
    return kept
