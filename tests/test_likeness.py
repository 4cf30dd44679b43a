"""Where a clone stands, and the words for it: whoever reads them knows what they are measured against."""

from __future__ import annotations

import pytest

from clone.likeness import Likeness, in_short, told
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
    assert Likeness(0.7).share is None
    assert Likeness(0.7, 0.4, 0.5, 54, 54).standing is None
    assert Likeness(0.6, 0.8).standing is None
    assert Likeness(0.6, 0.8).share == pytest.approx(0.75)
    assert Likeness(-0.2, 0.8).share == 0.0


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        (
            (53, 54, 2, 10),
            "Closer to the original than 53 of 54 stock voices. As close as about 2 in 10 other recordings",
        ),
        ((54, 54, 9, 9), "than all 54 stock voices. As close as other recordings of the same person would be"),
        ((0, 54, 0, 6), "No closer to the original than any of 54 stock voices. Not as close as other recordings"),
        ((40, 54, None, None), "than 40 of 54 stock voices. The recording is too short to tell"),
    ],
)
def test_it_is_said_as_what_it_is(figures: tuple[int, int, int | None, int | None], said: str) -> None:
    assert said in told(Likeness(0.7, 0.9, 0.5, *figures))


def test_of_an_older_voice_no_more_is_said_than_is_known() -> None:
    assert "0.81" in told(Likeness(0.81))
    assert "%" not in told(Likeness(0.81))
    assert "90 % of the way" in told(Likeness(0.81, 0.9))
    assert (in_short(Likeness(0.81)), in_short(KNOWN)) == ("likeness 0.81", "closer than 53 of 54 stock voices")


def test_older_voices_come_after_those_that_are_measured_on_the_scale() -> None:
    alike = [Likeness(-0.9, 0.9, 0.8, 0, 54, 0, 5), KNOWN, Likeness(0.99, 0.9), Likeness(0.2)]
    assert sorted(alike, key=lambda each: -each.rank) == [alike[1], alike[0], alike[2], alike[3]]


def test_a_voice_carries_all_of_it() -> None:
    voice = make_voice().measured(KNOWN)
    assert (voice.alike, voice.likeness, voice.n_pieces) == (KNOWN, 0.7, 10)
    assert voice.measured(None).alike is None
    assert make_voice(ceiling=0.9).alike == Likeness(0.8125, 0.9)
