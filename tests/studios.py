"""Studios, orders and what came of them, for the tests of the use cases."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from clone.contract.cloning import CloneOptions
from clone.core.errors import TimbreError
from clone.core.jobs import Stage
from clone.engine.backend import LocalBackend
from clone.storage.voice import Voice
from clone.studio.facade import CloneOrder, SpeakOrder, Studio
from tests import remembered

TURBO, HD = "speech-2.8-turbo", "speech-2.8-hd"
TEXT = "Walk slowly home."
LONG = "The train to the coast leaves at nine, and the people by the harbour walk slowly home along the river " * 15
PROMPT = "You have to move slowly, she said, and you must never breathe on them."
"""The second sentence of Ada, an example voice; PROMPT_SPAN_S is where."""
PROMPT_SPAN_S = (6.1, 11.0)


@cache
def engine() -> LocalBackend:
    """The engine of this process, shared by all tests in it: its models load once, each when it is first needed."""
    remembered.install()
    return LocalBackend(Path(tempfile.gettempdir()) / "timbre-no-weights")


def order(audio: Path | str, owner: str = "ann", **changes: Any) -> CloneOrder:
    """An order without a preview, unless a text is given; CloneOptions' fields go where they belong."""
    options = {name: changes.pop(name) for name in list(changes) if name in CloneOptions.model_fields}
    if "text" in options:
        options.setdefault("model", TURBO)
    return CloneOrder(**{"owner": owner, "audio": audio, "options": CloneOptions(**options), "consent": True} | changes)


def say(voice: Voice, text: str = TEXT, model: str = TURBO) -> SpeakOrder:
    return SpeakOrder(voice.owner, voice.voice_id, text, model)


def last(news: Iterator[Any]) -> Any:
    """Follow a job to its result."""
    return list(news)[-1]


def follow_to(news: Iterator[Any], stage: str) -> Stage:
    """Follow a job until a stage begins."""
    for item in news:
        if isinstance(item, Stage) and item.name.startswith(stage):
            return item
    raise AssertionError(f"it ended before “{stage}”")


def refusal(news: Iterator[Any]) -> TimbreError:
    """Follow a job to its refusal, which must be fit for a person."""
    with pytest.raises(TimbreError) as refused:
        list(news)
    return fit_for_a_person(refused.value)


def fit_for_a_person(error: TimbreError) -> TimbreError:
    told = f"{error} {error.measured} {error.limit}"
    assert error.message.endswith((".", "”"))
    for private in ("/tmp", "/home", "/root", "Traceback", "Error(", ".py", "timbre-", "pytest", "voices/"):
        assert private not in told
    return error


def files_in(folder: Path) -> list[str]:
    """Return every file below a folder, as text relative to it."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def wait_until_empty(folder: Path, within_s: float) -> float:
    """Return how long it took until nothing was left in a folder."""
    began = time.monotonic()
    while any(folder.iterdir()):
        assert time.monotonic() - began < within_s, "the work goes on"
        time.sleep(0.02)
    return time.monotonic() - began


def close(studio: Studio, *news: Iterator[Any]) -> None:
    """Leave jobs as a person does who closes the page."""
    for each in news:
        each.close()  # type: ignore[attr-defined]
    studio.close()
