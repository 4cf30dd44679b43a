"""What is said: five texts of 8 to 12 s, fixed so that figures of different days can be compared."""

TEXTS = (
    "The old ferry left the harbor before sunrise, carrying bread, letters, and three very sleepy musicians "
    "who had missed the evening train home.",
    "On March 3rd, 2024, the museum sold 1,250 tickets at $18.50 each, and 27% of the visitors stayed for more "
    "than 4 hours.",
    "Why would anybody choose yellow paint for a kitchen that already catches the whole afternoon sun? Just open "
    "a window, and enjoy the view.",
    "A thick fog rolled over the valley during the night, so the shepherd rang a small bell until every lamb "
    "had found its way back to the path.",
    "Please check your messages tomorrow. We should finish the budget, measure the garage, and decide which oak "
    "table goes to the new office.",
)

PREVIEW = TEXTS[0] + " Nobody minded."
"""About 10 s of speech: what cloning is timed with."""
