"""The way of speaking of a language."""

from __future__ import annotations

import numpy as np
import pytest

from clone.contract.speech import LANGUAGES
from clone.engine.prosody import LETTERS, MOVED_MAX, TIMBRE_SHARE, TIMBRE_SHARES, in_language
from clone.engine.styles import PROSODY, TIMBRE, table


def test_every_language_that_is_spoken_has_voices() -> None:
    assert set(LETTERS) == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_most_of_the_timbre_stays_and_the_prosody_is_of_the_languages_own_voices(language: str) -> None:
    stock = table()
    style = stock.styles[0]
    spoken, _ = in_language(style, 150.0, language)
    own = np.array([name[0] in LETTERS[language] for name in stock.names])
    kept = 1 - TIMBRE_SHARES.get(language, TIMBRE_SHARE)
    left = spoken[:, TIMBRE] - kept * style[:, TIMBRE]
    others = stock.styles[own][:, :, TIMBRE] * (1 - kept)
    assert (left >= others.min(axis=0) - 1e-4).all()
    assert (left <= others.max(axis=0) + 1e-4).all()
    among = stock.styles[own][:, :, PROSODY]
    assert (spoken[:, PROSODY] >= among.min(axis=0) - 1e-4).all()
    assert (spoken[:, PROSODY] <= among.max(axis=0) + 1e-4).all()


def test_what_no_voice_reaches_is_left_to_be_moved() -> None:
    stock = table()
    only = float(stock.pitch_hz[[name[0] == "f" for name in stock.names]][0])
    style = stock.styles[0]
    assert in_language(style, only / 1.5, "fr")[1] == pytest.approx(1 / 1.5, rel=1e-3)
    assert in_language(style, only / 4, "fr")[1] == pytest.approx(1 / MOVED_MAX)
    assert in_language(style, 0.0, "fr")[1] == 1.0
    assert in_language(style, 150.0, "zh")[1] == 1.0
