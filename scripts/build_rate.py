"""Make assets/rate.npz: how the rate of speaking shows in what the recogniser's encoder hears (engine.speaking_rate).

    python scripts/build_rate.py assets/rate.npz

Kokoro reads sentences in the mixtures of assets/bank.npz at many paces, so the number of phonemes in each is known; a
ridge regression finds the rate in the encoder's changes. About nine minutes on two cores. A quarter is kept aside to
say how far off it is.
"""

from __future__ import annotations

import sys
import unicodedata
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from clone.audio.reader import resample
from clone.engine import prosody, styles
from clone.engine.asr import SAMPLE_RATE as HEARD_RATE
from clone.engine.asr import Recognizer, speech_spans
from clone.engine.tts import SAMPLE_RATE, Hd, Turbo

SENTENCES = (
    "The ferry left the island early, while a thin fog was still lying over the water.",
    "She poured two cups of coffee, opened the blue notebook, and began to read aloud.",
    "Why would anyone choose a garden full of thistles, when roses grow just as well?",
    "Nobody in the village remembered who had built the bridge, or when.",
    "He thanked the judge politely, picked up his hat, and walked out into the snow.",
    "Most of the money was spent on paper, ink and postage during the first year.",
    "If you look closely at the picture, a small dog is sleeping beneath the table.",
    "Their cousin plays the violin beautifully, though she has never taken a lesson.",
    "The measure was rejected, because only four of the eleven members had voted for it.",
    "I have often thought about that strange evening, and about the questions you asked.",
    "Fresh bread, butter and a pot of honey were waiting for us on the kitchen shelf.",
    "After the storm, broken branches covered the road as far as the old church.",
    "The doctor explained, with great patience, how the heart pumps blood through the body.",
    "It was neither beautiful nor useful, but my uncle kept it on his desk for thirty years.",
    "You should never have trusted a man who smiles while he is giving bad news.",
    "Seven soldiers guarded the gate; the others were asleep in the shade of the wall.",
    "The children laughed, jumped over the ditch, and vanished among the tall corn.",
    "Such changes happen slowly, so slowly that one generation hardly notices them.",
    "A huge copper kettle hung above the fire, and steam was rising from its mouth.",
    "What matters is not how loudly you speak, but whether anybody wishes to listen.",
)
N_SPOKEN = 400
PACES = 0.65, 1.35
SEED = 8
RIDGE = 100.0
KEPT_ASIDE = 4
"""One in so many."""


def main(out: Path) -> None:
    """Have the sentences spoken, find the rate in what is heard, and write the table."""
    cache = Path("weights")
    hd, turbo, recognizer = Hd(cache), Turbo(cache), Recognizer(cache)
    heard, rates = [], []
    for i in range(N_SPOKEN):
        random = np.random.default_rng([SEED, i])
        mixture = styles.bank().weights[random.integers(len(styles.bank().weights))]
        phonemes = turbo.phonemes(SENTENCES[random.integers(len(SENTENCES))])[0]
        pace = float(np.exp(random.uniform(*np.log(PACES))))
        row = styles.row_for(styles.mixed(mixture), len(phonemes))
        samples = resample(hd.speak(turbo.tokens(phonemes), row, pace), SAMPLE_RATE, HEARD_RATE)
        speech = [samples[int(a * HEARD_RATE) : int(b * HEARD_RATE)] for a, b in speech_spans(samples)]
        if speech:
            spoken = np.concatenate(speech)
            heard.append(prosody.changes(recognizer.features(spoken)))
            rates.append(n_phonemes(phonemes) / (len(spoken) / HEARD_RATE))
        if i % 50 == 49:
            print(f"{i + 1} of {N_SPOKEN}", flush=True)
    changes, logs = np.array(heard, np.float64), np.log(rates)
    aside = np.arange(len(logs)) % KEPT_ASIDE == 0
    weights, offset = regression(changes[~aside], logs[~aside])
    off = changes[aside] @ weights + offset - logs[aside]
    print(f"kept aside: {100 * off.std():.1f} % off, of {100 * logs[aside].std():.1f} % that there are")
    weights, offset = regression(changes, logs)
    np.savez_compressed(out, weights=weights.astype(np.float32), offset=np.float32(offset))


def n_phonemes(phonemes: str) -> int:
    """Return how many sounds there are; stress, length and points are none."""
    return sum(c.isalpha() and unicodedata.category(c) != "Lm" for c in phonemes)


def regression(changes: np.ndarray, logs: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the weights and the offset of a ridge regression over standardised values."""
    centre, spread = changes.mean(axis=0), changes.std(axis=0) + 1e-6
    scaled = (changes - centre) / spread
    dual = np.linalg.solve(scaled @ scaled.T + RIDGE * np.eye(len(scaled)), logs - logs.mean())
    weights = (scaled.T @ dual) / spread
    return weights, float(logs.mean() - centre @ weights)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
