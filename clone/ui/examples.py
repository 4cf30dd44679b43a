"""The example voices that come with the app."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "assets" / "examples"


@dataclass(frozen=True)
class Example:
    """One example voice: its file, its name and a few words about it."""

    path: Path
    name: str
    about: str

    @property
    def label(self) -> str:
        """What the choice says."""
        return f"{self.name}: {self.about}" if self.about else self.name


@cache
def examples(folder: Path = FOLDER) -> tuple[Example, ...]:
    """Return the examples that ``examples.json`` lists and the folder holds, in its order."""
    listed = folder / "examples.json"
    if not listed.is_file():
        return ()
    entries = json.loads(listed.read_text(encoding="utf-8"))
    found = (Example(folder / str(entry["file"]), str(entry["name"]), str(entry.get("about", ""))) for entry in entries)
    return tuple(example for example in found if example.path.is_file())


def example(name: str | None) -> Example | None:
    """Return the example of a name; None for any other."""
    return next((each for each in examples() if each.name == name), None)
