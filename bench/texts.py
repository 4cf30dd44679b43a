"""What is said: five texts of 8 to 12 s, fixed so that figures of different days can be compared.

Words that sound like others (ferry and fairy, whole and hole) are left out: no recogniser could tell them apart.
"""

TEXTS = (
    "The old boat left the harbor before sunrise, carrying bread, letters, and three very sleepy musicians who had "
    "missed the evening train home, and nobody on board said a word.",
    "On March 3rd, 2024, the museum sold 1,250 tickets at $18.50 each, and 27% of the visitors stayed for more "
    "than 4 hours.",
    "Why would anybody choose yellow paint for a kitchen that already catches the warm afternoon sun? Just open "
    "a window, enjoy the view, and put the money into a good chair.",
    "A thick fog rolled over the valley during the night, so the shepherd rang a small bell until every lamb had "
    "found its way back to the path, and then he slept.",
    "Please check your messages tomorrow. We should finish the budget, measure the garage, and decide which of "
    "these oak tables goes to the new office on the third floor.",
)

PREVIEW = TEXTS[0]
"""About 10 s of speech: what cloning is timed with."""


def texts_of(turn: int, n_texts: int) -> tuple[str, ...]:
    """Return what the speaker of a turn says: fewer than all texts are taken in turns, so that each is said by some."""
    return tuple(TEXTS[(turn * n_texts + i) % len(TEXTS)] for i in range(n_texts))
