"""Whether a directory is on a file system that can hold an instance: local, with working locks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from langgraph_session_bridge.embedded.layout import Layout, unusable
from langgraph_session_bridge.embedded.locks import open_lock_file, try_lock, unlock

_NETWORK = frozenset(
    ("9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "lustre", "nfs", "nfs4", "smb2", "smb3", "smbfs")
)
_NETWORK_FUSE = frozenset(("fuse.ceph", "fuse.gcsfuse", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs"))


def require_usable(layout: Layout) -> None:
    """Refuse file systems where locks do not reach every process, or where databases are not safe.

    Raises:
        EmbeddedServerError: The directory is on such a file system.
    """
    kind = _type_of(layout.root)
    if kind in _NETWORK | _NETWORK_FUSE:
        raise unusable(layout, f"it is on a network file system ({kind})")
    if not _locks_exclude(layout.guard_of("probe")):
        raise unusable(layout, "file locks do not work there")


def _locks_exclude(path: Path) -> bool:
    """Whether a lock on one open file keeps another open file of the same process out."""
    first, second = open_lock_file(path), open_lock_file(path)
    try:
        return try_lock(first) and not try_lock(second)
    except OSError:
        return False
    finally:
        unlock(second)
        unlock(first)
        path.unlink(missing_ok=True)


def _type_of(path: Path) -> str | None:
    """The type of the file system that holds `path`; `None` where the kernel has no list of mounts."""
    try:
        table = Path("/proc/self/mountinfo").read_text()
    except OSError:
        return None
    real = path.resolve()
    # A later mount over the same point hides an earlier one, hence the position in the key.
    mounts = ((len(point.parts), at, kind, point) for at, (point, kind) in enumerate(_mounts(table)))
    holding = [mount for mount in mounts if real.is_relative_to(mount[3])]
    return max(holding)[2] if holding else None


def _mounts(table: str) -> Iterator[tuple[Path, str]]:
    for line in table.splitlines():
        before, _, after = line.partition(" - ")
        point = re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), before.split()[4])
        yield Path(point), after.split()[0]
