"""Make assets/bank.npz: random mixtures of Kokoro's stock voices, and what each sounds like.

    python scripts/build_bank.py assets/bank.npz

A style for a voice is chosen among these mixtures (clone/engine/styles.py), so each is spoken here, once: a short
sentence, about 2 s of one core. Every mixture is drawn from its own seed, so that a longer bank begins like a shorter
one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from clone.audio.reader import resample
from clone.engine import speaker, styles
from clone.engine.tts import SAMPLE_RATE, Hd, Turbo

SENTENCE = "A thin fog lay over the water, when the ferry left the old island."
N_MIXTURES = 650
SEED = 6
CONCENTRATIONS = (0.03, 0.08, 0.2)
"""Of the Dirichlet draws: from almost one stock voice alone to a mixture of a dozen."""

STRETCH = (0.9, 1.5)
"""How far from the average voice: people differ more than averages of voices do."""

N_COLOUR = 50
"""The first mixtures tell the colour that all are heard with."""

LASTS_S = (2.2, 6.0)
MIN_PITCH_HZ = 60.0
"""Outside of these a mixture is broken: it mumbles, drawls or croaks."""


def main(out: Path) -> None:
    """Draw, speak and measure the mixtures, and write the bank."""
    cache = Path("weights")
    hd, turbo, encoder = Hd(cache), Turbo(cache), speaker.SpeakerEncoder(cache)
    tokens = turbo.tokens(turbo.phonemes(SENTENCE)[0])
    weights, spoken = [], []
    for i in range(N_MIXTURES):
        mixture = drawn(i, len(styles.table().names) - 1)
        row = styles.row_for(styles.mixed(mixture.astype(np.float32)), tokens.shape[1] - 2)
        samples = resample(hd.speak(tokens, row, 1.0), SAMPLE_RATE, speaker.SAMPLE_RATE)
        weights.append(mixture)
        spoken.append(samples)
        if i % 50 == 49:
            print(f"{i + 1} of {N_MIXTURES}", flush=True)
    colour = np.mean([speaker.colour(samples) for samples in spoken[:N_COLOUR]], axis=0)
    whole = [i for i, samples in enumerate(spoken) if usable(samples)]
    np.savez_compressed(
        out,
        weights=np.array([weights[i] for i in whole], np.float16),
        embeddings=np.array([encoder.embed(spoken[i], as_colour=colour) for i in whole], np.float16),
        colour=colour,
    )


def drawn(number: int, n_voices: int) -> np.ndarray:
    """Return the weights of one mixture, float16, shape (2, n_voices); they may be negative, and add up to 1."""
    random = np.random.default_rng([SEED, number])

    def half() -> np.ndarray:
        shares = random.dirichlet(np.full(n_voices, CONCENTRATIONS[number % len(CONCENTRATIONS)]))
        stretch = random.uniform(*STRETCH)
        return np.asarray(stretch * shares + (1 - stretch) / n_voices)

    timbre = half()
    prosody = half() if random.random() < 0.5 else timbre
    return np.stack([timbre, prosody]).astype(np.float16)


def usable(samples: np.ndarray) -> bool:
    """Tell whether a mixture speaks at a pitch and a pace that a person could."""
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    lasts_s = (loud[-1] - loud[0]) / speaker.SAMPLE_RATE
    return LASTS_S[0] < lasts_s < LASTS_S[1] and speaker.median_pitch_hz(samples) > MIN_PITCH_HZ


if __name__ == "__main__":
    main(Path(sys.argv[1]))
