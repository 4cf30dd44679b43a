"""Which style Kokoro speaks in: the table, the blend, and the row for a length."""

from __future__ import annotations

import numpy as np
import pytest

from clone.engine.profile import Profile
from clone.engine.styles import ENGLISH, PROSODY, ROWS, TIMBRE, blend, row_for, table

N_STYLE = 256


def test_the_table_is_whole() -> None:
    stock = table()
    n = len(stock.names)
    assert len(set(stock.names)) == n > len(ENGLISH)
    assert stock.styles.shape == (n, len(ROWS), N_STYLE)
    assert stock.embeddings.shape == (n, N_STYLE)
    assert np.linalg.norm(stock.embeddings, axis=1) == pytest.approx(np.ones(n), abs=0.01)
    assert np.isfinite(stock.styles).all()
    assert ((stock.pitch_hz > 60) & (stock.pitch_hz < 400)).all()


def test_a_blend_is_a_style_for_every_voice_and_pitch() -> None:
    for embedding in table().embeddings[::9]:
        for pitch_hz in (0.0, 50.0, 120.0, 210.0, 500.0):
            style = blend(embedding, pitch_hz)
            assert style.shape == (len(ROWS), N_STYLE)
            assert style.dtype == np.float32
            assert np.isfinite(style).all()


def test_the_timbre_of_a_blend_lies_among_the_voices_nearest_to_the_one_it_is_for() -> None:
    stock = table()
    for i in range(0, len(stock.names), 6):
        timbre = blend(stock.embeddings[i], 150.0)[:, TIMBRE]
        near = stock.styles[np.argsort(-(stock.embeddings @ stock.embeddings[i]))[:10], :, TIMBRE]
        assert (timbre >= near.min(axis=0) - 1e-4).all()
        assert (timbre <= near.max(axis=0) + 1e-4).all()


def test_pitch_chooses_the_prosody_and_nothing_else() -> None:
    embedding = table().embeddings[0]
    low, high = blend(embedding, 100.0), blend(embedding, 220.0)
    assert np.array_equal(low[:, TIMBRE], high[:, TIMBRE])
    assert not np.allclose(low[:, PROSODY], high[:, PROSODY])


def test_the_row_for_a_length_is_the_kept_one_or_lies_between_two() -> None:
    style = table().styles[0]
    for i, row in enumerate(ROWS):
        assert np.allclose(row_for(style, row + 1), style[i], atol=1e-5)
    halfway = row_for(style, (ROWS[3] + ROWS[4]) // 2 + 1)
    assert np.linalg.norm(halfway - style[3]) < np.linalg.norm(style[4] - style[3])
    assert np.array_equal(row_for(style, 1), row_for(style, ROWS[0] + 1))
    assert np.array_equal(row_for(style, 2000), row_for(style, ROWS[-1] + 1))


def test_the_example_voices_are_no_entry_of_the_table(profiles: dict[str, Profile]) -> None:
    for profile in profiles.values():
        assert (table().embeddings @ profile.embedding).max() < 0.97
