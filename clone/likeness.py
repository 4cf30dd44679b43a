"""How alike a clone and its original are: measured figures as one value, where they stand, and what is said of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass

LOWEST = -1.0
"""A clone further from its original than this on the scale of ``standing`` is simply far away."""

OLDER = 3.0
"""How far a likeness from before there was that scale is moved below it, to be sorted."""


@dataclass(frozen=True)
class Likeness:
    """A clone's likeness to its original, and what it is to be read against. Cosines are of speaker embeddings.

    Attributes:
        cosine: between the clone and the original.
        ceiling: what another recording of the same person would typically reach; where the original is too short to
            tell, and in voices from before that was measured, what its two halves reach; None if unknown.
        typical_stock: what a typical stock voice reaches; None in voices from before it was measured.
        n_stock_beaten: stock voices that are further from the original than the clone, of ``n_stock``.
        n_pieces_reached: pieces of the original that the clone is as close as, each taken for another recording of
            the same person, of ``n_pieces``; both None where the original is too short.
    """

    cosine: float
    ceiling: float | None = None
    typical_stock: float | None = None
    n_stock_beaten: int | None = None
    n_stock: int | None = None
    n_pieces_reached: int | None = None
    n_pieces: int | None = None

    @property
    def standing(self) -> float | None:
        """Where the clone stands: 0 is a typical stock voice, 1 another recording of the person; None if unknown."""
        if self.typical_stock is None or self.ceiling is None or self.ceiling <= self.typical_stock:
            return None
        return max(LOWEST, (self.cosine - self.typical_stock) / (self.ceiling - self.typical_stock))

    @property
    def share(self) -> float | None:
        """How much of a gauge is filled, 0 to 1: up to ``standing``, or, in older voices, of what can be reached."""
        reached = self.standing
        if reached is None and self.ceiling is not None and self.ceiling > 0:
            reached = self.cosine / self.ceiling
        return None if reached is None else max(0.0, min(1.0, reached))

    @property
    def rank(self) -> float:
        """What voices are sorted by: where they stand, and after them those of which that is unknown."""
        return self.cosine - OLDER if self.standing is None else self.standing

    def to_dict(self) -> dict[str, float | int | None]:
        """Return it as a program reads it: ``likeness`` is the cosine, the rest as above."""
        return {{"cosine": "likeness"}.get(name, name): value for name, value in asdict(self).items()}


ENDS = ("A typical stock voice", "Another recording of the same person")
"""What stands at 0 and at 1 of ``standing``."""

UNMEASURED: dict[str, float | int | None] = dict.fromkeys(Likeness(0.0).to_dict())
"""What a program reads where nothing was measured."""


def told(alike: Likeness) -> str:
    """Say how alike clone and original are, in words that need no explanation."""
    if alike.n_stock_beaten is None or not alike.n_stock:
        return _told_before(alike)
    return f"{_against_stock(alike.n_stock_beaten, alike.n_stock)} {_against_itself(alike)}"


def in_short(alike: Likeness) -> str:
    """Say it in a list."""
    if alike.n_stock_beaten is None:
        return f"likeness {alike.cosine:.2f}"
    return f"closer than {_many(alike.n_stock_beaten, alike.n_stock or 0)} stock voices"


def _against_stock(n_beaten: int, n_stock: int) -> str:
    if n_beaten == 0:
        return f"No closer to the original than any of {n_stock} stock voices."
    return f"Closer to the original than {_many(n_beaten, n_stock)} stock voices."


def _many(n: int, of: int) -> str:
    return f"all {of}" if n == of else f"{n} of {of}"


def _against_itself(alike: Likeness) -> str:
    reached, n = alike.n_pieces_reached, alike.n_pieces
    if reached is None or not n:
        return "The recording is too short to tell how close other recordings of the same person would be."
    said = (
        "Not as close as" if reached == 0 else "As close as" if reached == n else f"As close as about {reached} in {n}"
    )
    return f"{said} other recordings of the same person would be, judged by {n} pieces of the original."


def _told_before(alike: Likeness) -> str:
    said = f"The clone's likeness to the original is {alike.cosine:.2f}: 1 is the same voice, 0 a different one."
    if alike.share is None:
        return said
    return (
        f"{said} Two halves of the original, compared with each other, reach {alike.ceiling:.2f}, so the clone gets "
        f"{round(100 * alike.share)} % of the way."
    )
