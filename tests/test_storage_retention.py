"""A forgotten voice is deleted when its time is over, by itself, and when the process that forgot it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from clone.core.errors import VoiceError
from clone.core.settings import Settings
from clone.storage.files import Store
from clone.storage.retention import Retention
from clone.storage.voices import Library, utc_now
from tests.studios import files_in, wait_until_empty
from tests.voices import FILES, make_voice


@pytest.fixture
def library(settings: Settings) -> Library:
    library = Library(settings, Store(settings.store_url))
    library.add(make_voice(created_at=utc_now()), FILES)
    return library


def test_it_is_deleted_soon_after_its_time(library: Library, home: Path) -> None:
    retention = Retention(library, lambda: None)
    retention.start()
    retention.forget("voice-1", "ada", 0.2)
    assert files_in(home / "audio")
    wait_until_empty(home / "audio" / "voices", within_s=10.0)
    with pytest.raises(VoiceError, match="can't be brought back"):
        library.restore("voice-1", "ada")
    retention.close()


def test_it_is_deleted_when_the_process_ends(library: Library, home: Path) -> None:
    retention = Retention(library, lambda: None)
    retention.start()
    retention.forget("voice-1", "ada", 3600.0)
    retention.close()
    assert not files_in(home / "audio" / "voices")


def test_without_a_time_it_is_deleted_at_once(library: Library, home: Path) -> None:
    Retention(library, lambda: None).forget("voice-1", "ada", 0.0)
    assert not files_in(home / "audio" / "voices")
