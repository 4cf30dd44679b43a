"""Where a clone stands, and the words for it: whoever reads them knows what they are measured against."""

from __future__ import annotations

import pytest

from clone.core.likeness import Likeness, in_short, in_words
from tests.voices import make_voice

KNOWN = Likeness(0.7, 0.9, 0.5, 53, 54, 2, 10)


@pytest.mark.parametrize(
    ("cosine", "standing", "share"),
    [(0.5, 0.0, 0.0), (0.7, 0.5, 0.5), (0.9, 1.0, 1.0), (0.98, 1.2, 1.0), (0.3, -0.5, 0.0)],
)
def test_a_clone_stands_between_a_stock_voice_and_the_original(cosine: float, standing: float, share: float) -> None:
    alike = Likeness(cosine, 0.9, 0.5, 53, 54, 2, 10)
    assert alike.standing == pytest.approx(standing)
    assert alike.share == pytest.approx(share)


def test_where_there_is_no_scale_it_stands_nowhere() -> None:
    assert Likeness(0.7, 0.4, 0.5, 54, 54).standing is None
    assert Likeness(0.7, 0.4, 0.5, 54, 54).share is None
    assert Likeness(0.7, None, 0.5, 54, 54).share is None


def standing_at(standing: float, n_beaten: int = 54, n_pieces: int | None = 7) -> Likeness:
    return Likeness(0.5 + 0.4 * standing, 0.9, 0.5, n_beaten, 54, n_pieces and 3, n_pieces)


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        (1.2, "Very close: 100 % of the way from a typical stock voice to another recording of the same person."),
        (0.9, "Very close: 90 % of the way"),
        (0.83, "Close: 83 % of the way"),
        (0.746, "Close: 75 % of the way"),
        (0.63, "Fairly close: 63 % of the way"),
        (0.3, "A little alike: 30 % of the way"),
        (0.0, "Hardly alike: 0 % of the way"),
        (-0.004, "Hardly alike: 0 % of the way"),
        (-0.2, "Not alike: a typical stock voice is closer"),
    ],
)
def test_it_is_said_by_how_far_it_gets(standing: float, said: str) -> None:
    assert in_words(standing_at(standing)).startswith(said)


def test_no_sentence_is_said_of_clones_that_differ() -> None:
    sentences = [set(in_words(standing_at(each)).split(". ")) for each in (0.95, 0.83, 0.63, 0.3, 0.1, -0.3)]
    assert not set.intersection(*sentences[:2])
    assert all(not one & other for i, one in enumerate(sentences) for other in sentences[:i])


def test_stock_voices_are_told_of_only_where_one_is_closer() -> None:
    assert "54" not in in_words(standing_at(0.83))
    assert "1 of 54 stock voices is closer." in in_words(standing_at(0.3, 53))
    assert "14 of 54 stock voices are closer." in in_words(standing_at(0.3, 40))


def test_of_a_short_recording_it_is_said_that_it_is_rough() -> None:
    assert "rough" in in_words(standing_at(0.83, n_pieces=None))
    assert "rough" not in in_words(standing_at(0.83))


def test_it_is_said_why_there_is_no_scale() -> None:
    several, unsteady = Likeness(0.7, None, 0.5, 54, 54), Likeness(0.7, 0.4, 0.5, 54, 54, 6, 7)
    assert "More than one voice" in in_words(several)
    assert "no more like itself" in in_words(unsteady)
    for each in (several, unsteady):
        assert "%" not in in_words(each)
        assert in_short(each) == "likeness unknown"


def test_it_is_said_in_short() -> None:
    assert in_short(KNOWN) == "likeness 50 %"


def test_where_there_is_no_scale_it_comes_after_those_that_are_on_it() -> None:
    off_scale = [Likeness(cosine, None, 0.5, 54, 54) for cosine in (0.99, 0.2)]
    alike = [Likeness(-0.9, 0.9, 0.8, 0, 54, 0, 5), KNOWN, *off_scale]
    assert sorted(alike, key=lambda each: -each.rank) == [alike[1], alike[0], alike[2], alike[3]]


def test_a_voice_carries_all_of_it() -> None:
    voice = make_voice().measured(KNOWN)
    assert (voice.alike, voice.likeness, voice.n_pieces) == (KNOWN, 0.7, 10)
    assert voice.measured(None).alike is None
    assert make_voice(ceiling=0.9).alike is None  # taken over from before the rest was measured
