"""A voice as a value, kept as bytes."""

from __future__ import annotations

import numpy as np
import pytest

from clone.engine import profile as module
from clone.engine.backend import LocalBackend
from clone.engine.profile import Profile

MODEL = "speech-2.8-turbo"


def test_it_comes_back_as_it_was(profiles: dict[str, Profile]) -> None:
    for learned in profiles.values():
        again = Profile.from_bytes(learned.to_bytes())
        assert again is not None
        assert np.abs(again.windows - learned.windows).max() < 1e-3
        assert np.array_equal(again.style, learned.style)
        assert (again.pitch_hz, again.rate) == (learned.pitch_hz, learned.rate)
        assert again.frames.n_bands == learned.frames.n_bands
        assert np.abs(again.frames.features - learned.frames.features).max() < 1e-3
        assert np.abs(again.frames.envelopes - learned.frames.envelopes).max() < 0.05


def test_it_speaks_as_before(backend: LocalBackend, profiles: dict[str, Profile]) -> None:
    again = Profile.from_bytes(profiles["ben"].to_bytes())
    assert again is not None
    line = backend.script("Walk slowly home.")[0]
    before, after = backend.speak(profiles["ben"], line, MODEL), backend.speak(again, line, MODEL)
    assert np.corrcoef(before, after)[0, 1] > 0.99


def test_another_version_of_the_engine_is_not_read(
    profiles: dict[str, Profile], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = profiles["ada"].to_bytes()
    monkeypatch.setattr(module, "ENGINE_VERSION", "another")
    assert Profile.from_bytes(kept) is None


def test_a_damaged_file_is_not_read(profiles: dict[str, Profile]) -> None:
    kept = profiles["ada"].to_bytes()
    for damaged in (b"", b"x", kept[:1000], kept[:-10], b"\0" * 2000, kept[:5000] + b"\0" * 500 + kept[5500:]):
        assert Profile.from_bytes(damaged) is None
