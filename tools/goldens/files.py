"""How the parts write their files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path


def write_json(path: Path, value: object) -> None:
    """Packed, and the same bytes for the same value."""
    path.write_bytes(gzip.compress(json.dumps(value).encode(), 9, mtime=0))
