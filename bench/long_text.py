"""A text of 10,000 characters: sentences put together by a seed, the same every time, no two of them alike."""

from __future__ import annotations

from random import Random

LENGTH = 10_000
SEED = 7
PARAGRAPH = 7
"""Sentences."""

FRAMES = (
    "{when}, {who} {did} {where}.",
    "{who} {did}, and {other} {watched} {where}.",
    "Nobody knew why {who} {did} {when}, least of all {other}.",
    "Was it {other} who {did} {where}, or was it somebody else?",
    "{where}, {count} {things} were waiting for {other}.",
    "“{said},” answered {other}, and {did} without another word.",
    "It took {count} days until {who} {did}; {other} {watched} all the while.",
    "If {other} had not come {when}, the {things} would still be lying {where}.",
    "{who} counted {count} {things}, wrote the number down, and {did}.",
    "What {other} remembered best were the {things} {where}.",
    "{said}!",
    "Some said that {who} {did} {when}, but {other} never believed it.",
)
WORDS = {
    "who": (
        "the gardener", "my older sister", "an engineer from Norway", "the quiet librarian", "a young doctor",
        "the captain's wife", "our neighbour", "the new mayor", "one of the twins", "the clock maker",
        "a tired postman", "the choir leader", "her uncle George", "the man with the umbrella",
    ),
    "other": (
        "a painter called Rosa", "the judge", "his best friend", "an old farmer", "the baker's daughter",
        "every child in the village", "the night watchman", "a stranger in a green coat", "Professor Miller",
        "the girl at the window", "a crowd of students", "the driver of the bus", "nobody but the cat",
    ),
    "did": (
        "opened the heavy gate", "played three songs on the piano", "asked for a cup of strong tea",
        "painted the whole kitchen yellow", "lost a silver ring", "cut the rope with a pair of scissors",
        "found a letter under the floor", "refused to pay the bill", "told a very long story about whales",
        "climbed over the garden wall", "repaired the radio", "planted beans beside the fence",
        "forgot what the question was", "laughed until it hurt", "wrapped the vase in newspaper",
    ),
    "watched": (
        "held the lamp", "looked on in silence", "made a note of it", "shook the snow from both boots",
        "pretended to be asleep", "hummed an old tune", "wiped the dust from the mirror", "waited",
    ),
    "where": (
        "behind the railway station", "on the third floor", "at the edge of the forest", "under the wooden bridge",
        "in a small shop near the harbor", "beside the frozen lake", "between two tall chimneys",
        "in the middle of the market square", "at the far end of the corridor", "high above the valley",
    ),
    "when": (
        "early on Sunday morning", "just before the storm", "in the summer of 1987", "at half past six",
        "shortly after the concert", "on the longest day of the year", "while the others were having lunch",
        "a week later", "long before the war", "in the cold light of February",
    ),
    "count": ("four", "eleven", "twenty", "36", "about a hundred", "no fewer than 250", "seventeen", "eight or nine"),
    "things": (
        "letters", "glass bottles", "broken chairs", "maps", "baskets of apples", "rusty keys", "photographs",
        "books about birds", "candles", "empty boxes", "pairs of gloves",
    ),
    "said": (
        "You should have asked me first", "The bridge is closed until Thursday", "That is the best news of the week",
        "Take the second road on the left", "I would rather walk than wait", "There is plenty of bread for everyone",
        "We measured it twice", "Such a view, and not a single bench", "Keep the change and say hello to your mother",
        "Nothing of the kind was ever promised", "Leave the door open, it is far too warm in here",
    ),
}  # fmt: skip


def text(length: int = LENGTH) -> str:
    """Return a text of at most so many characters, as near as another sentence allows."""
    random = Random(SEED)
    said: list[str] = []
    written = ""
    while True:
        sentence = _sentence(random)
        if sentence in said:
            continue
        between = "" if not said else "\n\n" if len(said) % PARAGRAPH == 0 else " "
        if len(written + between + sentence) > length:
            return written
        said.append(sentence)
        written += between + sentence


def _sentence(random: Random) -> str:
    frame = random.choice(FRAMES)
    sentence = frame.format(**{slot: random.choice(words) for slot, words in WORDS.items()})
    first = 1 if sentence.startswith("“") else 0
    return sentence[:first] + sentence[first].upper() + sentence[first + 1 :]
