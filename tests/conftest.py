"""What every test gets: a home of its own, and nothing from the machine's environment."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from clone.core.settings import Settings
from tests import remembered

if TYPE_CHECKING:
    from clone.engine.backend import Heard, LocalBackend
    from clone.engine.profile import Profile
    from clone.storage.voices import Library
    from clone.studio.facade import Studio
    from tests.serving import Served
    from tests.voices import Clock

collect_ignore = [] if find_spec("psycopg") else ["scale"]
"""Hosts that share a library need more than the app does; ``make test-scale`` installs it."""

EXAMPLES = Path(__file__).parent.parent / "assets" / "examples"

_REMEMBERED = pytest.StashKey[tempfile.TemporaryDirectory[str]]()

_PREFIXES = ("TIMBRE_", "NOVITA_", "GRADIO_", "SPACE_", "HF_")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def pytest_configure(config: pytest.Config) -> None:
    """Keep what the networks answer for the length of the run, for all of its processes."""
    if remembered.FOLDER not in os.environ:
        config.stash[_REMEMBERED] = tempfile.TemporaryDirectory(prefix="timbre-tests-")
        os.environ[remembered.FOLDER] = config.stash[_REMEMBERED].name


def pytest_unconfigure(config: pytest.Config) -> None:
    """Forget it."""
    if _REMEMBERED in config.stash:
        config.stash[_REMEMBERED].cleanup()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """TIMBRE_HOME of this one test; every other setting of the machine is taken away."""
    for name in list(os.environ):
        if name.startswith(_PREFIXES) or name.lower() in _PROXIES:
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    monkeypatch.setenv("TIMBRE_HOME", str(folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    return folder


@pytest.fixture
def settings(home: Path) -> Settings:
    """Settings that keep everything in this test's home."""
    return Settings.at(home)


@pytest.fixture
def clock() -> Clock:
    """A clock that is set by hand."""
    from tests.voices import Clock

    return Clock()


@pytest.fixture(params=["folder", "remote"])
def library(request: pytest.FixtureRequest, home: Path, clock: Clock) -> Iterator[Library]:
    """A library with its files in its home, and one with database and files elsewhere."""
    from tests.voices import opened

    settings = Settings.at(home)
    if request.param == "remote":
        url = f"sqlite:///{home.parent / 'elsewhere' / 'l.db'}"
        settings = replace(settings, database_url=url, store_url=f"memory://{uuid4().hex}")
    library = opened(settings, clock)
    yield library
    library.close()


@pytest.fixture(scope="session")
def examples() -> list[Path]:
    """The example voices of assets/, sorted by name."""
    return sorted(path for path in EXAMPLES.iterdir() if path.suffix in {".mp3", ".m4a", ".wav"})


@pytest.fixture(scope="session")
def backend() -> LocalBackend:
    """The engine, shared by all tests."""
    from tests.studios import engine

    return engine()


@pytest.fixture(scope="session")
def heard(backend: LocalBackend, examples: list[Path]) -> dict[str, Heard]:
    """The example voices as recordings, by name."""
    from clone.audio.reader import read

    recordings = {path.stem: read(path) for path in examples}
    return {name: backend.listen(recording.samples, recording.sample_rate) for name, recording in recordings.items()}


@pytest.fixture(scope="session")
def profiles(backend: LocalBackend, heard: dict[str, Heard]) -> dict[str, Profile]:
    """What the engine learned of each example voice."""
    return {name: backend.learn(recording, None) for name, recording in heard.items()}


@pytest.fixture
def studio(settings: Settings, backend: LocalBackend) -> Iterator[Studio]:
    """A studio in this test's home, on the shared engine."""
    from clone.studio.facade import Studio

    studio = Studio(settings, backend)
    studio.start(warm=False)
    yield studio
    studio.close()


@pytest.fixture(scope="session")
def clip(examples: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sentence of Ada that is tests.studios.PROMPT, as a wav."""
    from clone.audio.reader import read
    from clone.audio.writer import wav_bytes
    from tests.studios import PROMPT_SPAN_S

    ada = read(examples[0])
    start, end = (int(at * ada.sample_rate) for at in PROMPT_SPAN_S)
    path = tmp_path_factory.mktemp("clip") / "clip.wav"
    path.write_bytes(wav_bytes(ada.samples[start:end], ada.sample_rate))
    return path


@pytest.fixture(scope="module")
def places() -> Iterator[str]:
    """The example voices on loopback, as a server fetches them."""
    from tests.serving import files

    with files(EXAMPLES) as url:
        yield url


@pytest.fixture(scope="module")
def audio_url(places: str) -> str:
    return f"{places}/{sorted(EXAMPLES.glob('*.mp3'))[0].name}"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The API, running."""
    from tests.serving import serving

    with serving(tmp_path_factory.mktemp("api") / "home") as served:
        yield served


@pytest.fixture(scope="module")
def voice_id(api: Served, audio_url: str) -> str:
    answer = api.post("/v3/minimax-voice-cloning", {"audio_url": audio_url})
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["voice_id", "expires_at"]
    return str(answer.json()["voice_id"])
