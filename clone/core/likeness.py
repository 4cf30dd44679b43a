"""How alike a clone and its original are: measured figures as one value, where they stand, and what is said of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

LOWEST = -1.0
"""A clone further from its original than this on the scale of ``standing`` is simply far away."""

OFF_SCALE = 3.0
"""How far a likeness for which there is no scale is moved below it, to be sorted."""


@dataclass(frozen=True)
class Likeness:
    """A clone's likeness to its original, and what it is to be read against. Cosines are of speaker embeddings.

    Attributes:
        cosine: between the clone and the original.
        ceiling: what another recording of the same person would typically reach; where the original is too short to
            tell, what its two halves reach; None if unknown, as where several people speak in the original.
        typical_stock: what a typical stock voice reaches.
        n_stock_beaten: stock voices that are further from the original than the clone, of ``n_stock``.
        n_pieces_reached: pieces of the original that the clone is as close as, each taken for another recording of
            the same person, of ``n_pieces``; both None where the original is too short.
    """

    cosine: float
    ceiling: float | None
    typical_stock: float
    n_stock_beaten: int
    n_stock: int
    n_pieces_reached: int | None = None
    n_pieces: int | None = None

    @property
    def standing(self) -> float | None:
        """Where the clone stands: 0 is a typical stock voice, 1 another recording of the person; None if unknown."""
        if self.ceiling is None or self.ceiling <= self.typical_stock:
            return None
        return max(LOWEST, (self.cosine - self.typical_stock) / (self.ceiling - self.typical_stock))

    @property
    def share(self) -> float | None:
        """How much of a gauge is filled, 0 to 1: up to ``standing``; None where there is no scale."""
        return None if self.standing is None else max(0.0, min(1.0, self.standing))

    @property
    def rank(self) -> float:
        """What voices are sorted by: where they stand, and after them those of which that is unknown."""
        return self.cosine - OFF_SCALE if self.standing is None else self.standing

    def to_dict(self) -> dict[str, float | int | None]:
        """Return it as a program reads it: ``likeness`` is the cosine, the rest as above."""
        return dict(zip(UNMEASURED, asdict(self).values(), strict=True))


ENDS = ("A typical stock voice", "Another recording of the same person")
"""What stands at 0 and at 1 of ``standing``."""

UNMEASURED: dict[str, float | int | None] = dict.fromkeys(["likeness", *(each.name for each in fields(Likeness)[1:])])
"""What a program reads where nothing was measured."""


BANDS = (
    (0.9, "Very close", "Other recordings of the same person come about as close."),
    (0.75, "Close", "Fewer than 1 in 100 other people come as close."),
    (0.5, "Fairly close", "About 1 in 20 other people come as close."),
    (0.25, "A little alike", "About 1 in 5 other people come as close."),
    (0.0, "Hardly alike", "Many other people come as close."),
)
"""What is said from which ``standing`` on. From halves of about 32 LibriSpeech speakers, both seen: 10 or 30 s
of each as the original. Of other recordings of the same person 93 % and 88 % reached 0.9, all of them 0.75; of other
people 0.8 % and 0.6 % reached 0.75, 7 % and 5 % reached 0.5, 24 % and 18 % reached 0.25. Of clones, hd reached 0.75 in
53 % and 50 %, turbo in 44 % and 25 %."""

FAR = "Not alike: a typical stock voice is closer to the original."
SEVERAL = (
    "More than one voice is heard in the recording, so it can't be said how close the clone is to one of them. "
    "Clone from a part in which one person speaks."
)
UNSTEADY = (
    "The recording is no more like itself than stock voices are like it, so it can't be said how close the clone is. "
    "Clone from a recording that sounds the same throughout."
)
ROUGH = "The recording is short, so this is rough."


def in_words(alike: Likeness) -> str:
    """Say how alike clone and original are, in words that need no explanation; or why that can't be said."""
    if alike.standing is None:
        return SEVERAL if alike.ceiling is None else UNSTEADY
    said = [_standing_in_words(alike.standing), _stock(alike), ROUGH if not alike.n_pieces else ""]
    return " ".join(each for each in said if each)


def in_short(alike: Likeness) -> str:
    """Say it in a list."""
    return "likeness unknown" if alike.share is None else f"likeness {_percent(alike.share)}"


def _standing_in_words(standing: float) -> str:
    found = next((band for band in BANDS if round(standing, 2) >= band[0]), None)
    if found is None:
        return FAR
    _, words, beside = found
    reached = _percent(min(standing, 1.0))
    return f"{words}: {reached} of the way from a typical stock voice to another recording of the same person. {beside}"


def _stock(alike: Likeness) -> str:
    """Say it only where one is closer than the clone: of three clones in four that can't be said."""
    n_closer = alike.n_stock - alike.n_stock_beaten
    return f"{n_closer} of {alike.n_stock} stock voices {'is' if n_closer == 1 else 'are'} closer." if n_closer else ""


def _percent(share: float) -> str:
    return f"{round(100 * share)} %"
