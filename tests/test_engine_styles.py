"""Which style Kokoro speaks in: the table, the bank, the mixture, and the row for a length."""

from __future__ import annotations

import numpy as np
import pytest

from clone.engine.profile import Profile
from clone.engine.styles import N_NEAREST, PROSODY, ROWS, TIMBRE, WHISPERED, bank, mixed, nearest, row_for, table

N_STYLE = 256


def test_the_table_is_whole() -> None:
    stock = table()
    n = len(stock.names)
    assert len(set(stock.names)) == n > 50
    assert stock.styles.shape == (n, len(ROWS), N_STYLE)
    assert stock.embeddings.shape == (n, N_STYLE)
    assert np.linalg.norm(stock.embeddings, axis=1) == pytest.approx(np.ones(n), abs=0.01)
    assert np.isfinite(stock.styles).all()
    assert ((stock.pitch_hz > 60) & (stock.pitch_hz < 400)).all()


def test_the_bank_is_whole() -> None:
    known = bank()
    n = len(known.weights)
    assert n > 10 * N_NEAREST
    assert known.weights.shape == (n, 2, len(table().names) - 1)
    assert known.weights.sum(axis=-1) == pytest.approx(np.ones((n, 2)), abs=0.02)
    assert known.embeddings.shape == (n, N_STYLE)
    assert np.linalg.norm(known.embeddings, axis=1) == pytest.approx(np.ones(n), abs=0.01)
    assert np.isfinite(known.colour).all()


def test_a_stock_voice_is_a_mixture_of_itself_alone() -> None:
    kept = table().styles[table().names != WHISPERED]
    alone = np.zeros((2, len(kept)), np.float32)
    alone[0, 3] = alone[1, 7] = 1.0
    style = mixed(alone)
    assert np.allclose(style[:, TIMBRE], kept[3][:, TIMBRE], atol=1e-5)
    assert np.allclose(style[:, PROSODY], kept[7][:, PROSODY], atol=1e-5)


def test_every_voice_has_a_style_and_other_voices_have_others() -> None:
    embeddings = table().embeddings[::9]
    chosen = [nearest(embedding) for embedding in embeddings]
    for style in chosen:
        assert style.shape == (len(ROWS), N_STYLE)
        assert style.dtype == np.float32
        assert np.isfinite(style).all()
    assert not np.allclose(chosen[0], chosen[1], atol=0.05)


def test_the_style_of_a_voice_in_the_bank_is_near_to_its_own_mixture() -> None:
    known = bank()
    all_styles = [mixed(weights)[4] for weights in known.weights[:40]]
    for i in range(0, 40, 8):
        away = [np.linalg.norm(nearest(known.embeddings[i])[4] - style) for style in all_styles]
        assert int(np.argmin(away)) == i


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
