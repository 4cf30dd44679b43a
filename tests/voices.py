"""Voices, a clock that is set by hand, and libraries, for the tests of the library."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from clone.core.errors import VoiceError
from clone.core.settings import Settings
from clone.storage.files import Store
from clone.storage.voices import Library, Voice

START = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
FILES = {"reference.mp3": b"reference sound", "preview.mp3": b"preview", "profile.npz": b"numbers"}
MOMENT = timedelta(microseconds=1)


class Clock:
    """Set by hand; the machine's seconds go with it, but for where it is ``wrong`` by so much."""

    def __init__(self) -> None:
        self.time = START
        self.wrong = timedelta()
        self.boot = "first"

    def __call__(self) -> datetime:
        return self.time + self.wrong

    def uptime(self) -> tuple[str, float]:
        return self.boot, (self.time - START).total_seconds()


def make_voice(voice_id: str = "voice-1", owner: str = "ada", **changes: Any) -> Voice:
    voice = Voice(
        voice_id=voice_id,
        owner=owner,
        backend="local",
        reference_sha256="00" * 32,
        request_key="request",
        consent_at=START,
        consent_by="ticked by the owner",
        created_at=START,
        name="Grace – café 😀",
        model="speech-02-hd",
        settings={"text": "Hello, “you”.", "accuracy": 0.7, "prompt_text": None},
        likeness=0.8125,
        engine_version="2",
    )
    return replace(voice, **changes)


def open_library(home: Path, clock: Clock) -> Library:
    return opened(Settings.at(home), clock)


def opened(settings: Settings, clock: Clock) -> Library:
    """Open a library and purge it, as every start does: its clock is known from then on."""
    library = Library(settings, Store(settings.store_url), clock, clock.uptime)
    library.purge()
    return library


def refusal(call: Any, *args: Any) -> VoiceError:
    with pytest.raises(VoiceError) as caught:
        call(*args)
    return caught.value
