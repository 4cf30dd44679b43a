"""Bad files at every entrance: one clear error or a right result, bounded time and memory, nothing left behind."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from clone.core.errors import TimbreError
from clone.core.settings import Settings
from clone.storage.voice import NAME_MAX_CHARS
from clone.studio.facade import Studio
from tests.bad_input import REFUSED, TAKEN, write_all
from tests.serving import Served, files, serving
from tests.studios import files_in, fit_for_a_person, last, order

WITHIN_S = 20.0
MEMORY_MB = 400

ENTRANCES: dict[str, Callable[[Studio, Path], object]] = {
    "examine": lambda studio, path: list(studio.examine(path)),
    "clone": lambda studio, path: list(studio.clone(order(path))),
    "hear": lambda studio, path: studio.hear(path, None, noise=True),
    "prompt_pair": lambda studio, path: studio.prompt_pair(path),
    "match": lambda studio, path: studio.match(path, None),
}


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    write_all(folder)
    return folder


@pytest.fixture(scope="module")
def api(bad: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, str]]:
    with files(bad) as url, serving(tmp_path_factory.mktemp("api") / "home") as served:
        yield served, url


def memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize("entrance", ENTRANCES)
@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_file_is_one_clear_error(studio: Studio, settings: Settings, bad: Path, name: str, entrance: str) -> None:
    before_mb, began = memory_mb(), time.monotonic()
    with pytest.raises(TimbreError) as refused:
        ENTRANCES[entrance](studio, bad / name)
    assert fit_for_a_person(refused.value).code == REFUSED[name]
    assert refused.value.advice
    assert time.monotonic() - began < WITHIN_S
    assert memory_mb() - before_mb < MEMORY_MB
    assert files_in(settings.home / "work") == []
    assert studio.voices("ann") == []


@pytest.mark.parametrize("name", TAKEN, ids=["eight-channels", "long-name"])
def test_what_is_unusual_is_read_rightly(studio: Studio, settings: Settings, bad: Path, name: str) -> None:
    whole = list(studio.examine(bad / name))[-1]
    assert whole.picture.duration_s == pytest.approx(12.0, abs=0.01)
    cloned = last(studio.clone(order(bad / name, name=name)))
    assert studio.audio(cloned.voice.voice_id, "ann", "reference").is_file()
    assert cloned.voice.name == " ".join(name.split())[: len(cloned.voice.name)]
    assert len(cloned.voice.name) <= NAME_MAX_CHARS
    assert files_in(settings.home / "work") == []


@pytest.mark.parametrize("name", REFUSED)
def test_the_api_refuses_a_bad_file(api: tuple[Served, str], name: str) -> None:
    served, url = api
    began = time.monotonic()
    answer = served.post("/v3/minimax-voice-cloning", {"audio_url": f"{url}/{quote(name)}"})
    assert answer.status_code == 400, answer.text
    assert answer.json()["reason"] == "INVALID_AUDIO_FILE"
    assert time.monotonic() - began < WITHIN_S
    assert files_in(served.settings.home / "work") == []


def test_the_api_takes_what_is_unusual(api: tuple[Served, str]) -> None:
    served, url = api
    for name in TAKEN:
        answer = served.post("/v3/minimax-voice-cloning", {"audio_url": f"{url}/{quote(name)}"})
        if name == "eight-channels.wav":  # larger than a program may send
            assert answer.json()["metadata"]["code"] == "too_big"
        else:
            assert answer.status_code == 200, answer.text
