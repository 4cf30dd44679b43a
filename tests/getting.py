"""Models got in tests, well or in vain."""

from __future__ import annotations

import hashlib
import re
import stat
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from clone.core.errors import TimbreError
from clone.core.jobs import Stop
from clone.engine.models import Models
from tests.mirror import CONTENT, NAME, Mirror, stand_in
from tests.studios import fit_for_a_person


def of(mirror: Mirror | None, folder: Path, **changes: Any) -> Models:
    """Models in a folder, whose files are at a mirror."""
    catalogue = (stand_in(mirror.url),) if mirror else (stand_in(),)
    return Models(folder / "models", catalogue, **{"allow_private": True, **changes})


class Got(NamedTuple):
    told: list[tuple[int, int]]


def get(models: Models, stop: Stop | None = None) -> Got:
    told: list[tuple[int, int]] = []
    models.get(NAME, stop or Stop(), lambda done, total: told.append((done, total)))
    return Got(told)


def refusal(models: Models, folder: Path) -> TimbreError:
    """Get a model in vain: there is one sentence, and nothing that could be taken for a file of it."""
    with pytest.raises(TimbreError) as caught:
        get(models)
    error = fit_for_a_person(caught.value)
    assert str(folder) not in str(error)
    assert re.search(r"[.!?]\s+[A-Z]", error.message) is None, "one sentence"
    assert not models.is_here(NAME)
    assert not models.is_usable(NAME)
    assert_nothing_half(folder)
    return error


def assert_nothing_half(folder: Path) -> None:
    for name, data in CONTENT.items():
        path = folder / "models" / NAME / name
        assert not path.exists() or path.read_bytes() == data


def assert_whole(models: Models, folder: Path) -> None:
    assert models.is_here(NAME)
    home = folder / "models" / NAME
    assert {path.name for path in home.iterdir()} - {"verdict.json"} == {*CONTENT, ".lock"}
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    for name, data in CONTENT.items():
        assert models.path(NAME, name) == home / name
        assert models.read(NAME, name) == data
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600


def part_of_main(folder: Path) -> Path:
    """Return the file that what came of the first file lies in."""
    sha256 = hashlib.sha256(CONTENT["main.onnx"]).hexdigest()
    return folder / "models" / NAME / f"{sha256[:12]}-main.onnx.part"


def standing_in(url: str) -> str:
    """Return what, run first in an app's process, gives it the stand-in, judged by what a file in its home says."""
    return f"""
from clone.engine.models import Models
from clone.studio import facade
from tests.mirror import stand_in

def models_of(settings, _judge):
    kept = settings.home / "verdict"
    judge = lambda model: kept.read_text() if kept.exists() else ""
    return Models(settings.home / "models", (stand_in({url!r}),), settings.models_source, judge, allow_private=True)

facade.models_of = models_of
facade.Studio._warm_up = lambda studio: None
"""


def standing_in_for_pocket(folder: Path) -> str:
    """Return what, run first in a process, lets it get Pocket TTS from a folder, whatever lies there, and use it."""
    return f"""
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from clone.engine.models import POCKET, File, Models
from clone.studio import facade

def models_of(settings, _judge):
    found = sorted(Path({str(folder)!r}, "pocket").iterdir())
    files = tuple(File(p.name, p.stat().st_size, sha256(p.read_bytes()).hexdigest(), "") for p in found)
    return Models(settings.home / "models", (replace(POCKET, files=files),), {str(folder)!r}, lambda _: "")

facade.models_of = models_of
facade.Studio._warm_up = lambda studio: None
"""
