"""What was measured of a sound, kept between runs by what the sound is: real recordings never change."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

VERSION = 2
"""Raise it when anything is measured in another way."""

FOLDER = Path(platformdirs.user_cache_dir("timbre-bench"))


class Kept:
    """Measurements by sound and kind, one small JSON file each, in a private folder; with none, for this run alone."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._known: dict[str, Any] = {}
        if folder:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def get(self, kind: str, sound: np.ndarray, measure: Callable[[], Any]) -> Any:
        """Return what is kept of a kind for a sound, or else measure and keep it; anything that JSON can hold."""
        name = f"{kind}-{VERSION}-{hashlib.sha256(sound.tobytes()).hexdigest()[:24]}.json"
        if name not in self._known:
            self._known[name] = self._from_file(name, measure)
        return self._known[name]

    def _from_file(self, name: str, measure: Callable[[], Any]) -> Any:
        if self._folder is None:
            return measure()
        if (self._folder / name).exists():
            return json.loads((self._folder / name).read_text("utf-8"))
        found = measure()
        # Another process may be about to write the same: each writes its own file and renames it.
        with tempfile.NamedTemporaryFile("w", dir=self._folder, delete=False, encoding="utf-8") as new:
            json.dump(found, new)
        Path(new.name).rename(self._folder / name)
        return found
