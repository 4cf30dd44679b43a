"""Make assets/styles.npz, the compact table of Kokoro's stock voices that the hd engine mixes.

    npm pack kokoro-js@1.2.1 && tar xzf kokoro-js-1.2.1.tgz
    python scripts/build_styles.py package/voices assets/styles.npz

Kokoro's voice packs are Apache-2.0 (hexgrad/Kokoro-82M). Each holds one style per number of phonemes, 510 of them;
neighbouring rows hardly differ, so 16 are kept. What each voice sounds like (speaker embedding, median pitch) is
measured here on three spoken sentences, once.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from clone.audio.reader import resample
from clone.engine import speaker
from clone.engine.styles import ROWS, row_for
from clone.engine.tts import SAMPLE_RATE, Hd, Turbo

SENTENCES = (
    "The ferry left the island early, while a thin fog was still lying over the water.",
    "She poured two cups of coffee, opened the blue notebook, and began to read aloud.",
    "Why would anyone choose a garden full of thistles, when roses grow just as well?",
)


def main(voices: Path, out: Path) -> None:
    """Read every voice pack in a folder, measure it and write the table."""
    cache = Path("weights")
    hd, turbo, encoder = Hd(cache), Turbo(cache), speaker.SpeakerEncoder(cache)
    names, styles, embeddings, pitches = [], [], [], []
    for pack in sorted(voices.glob("*.bin")):
        table = np.fromfile(pack, np.float32).reshape(-1, 256)
        rows = table[list(ROWS)]
        audio = np.concatenate([_speak(hd, turbo, rows, sentence) for sentence in SENTENCES])
        samples = resample(audio, SAMPLE_RATE, speaker.SAMPLE_RATE)
        names.append(pack.stem)
        styles.append(rows)
        embeddings.append(encoder.embed(samples))
        pitches.append(speaker.median_pitch_hz(samples))
        print(f"{pack.stem}: {pitches[-1]:.0f} Hz", flush=True)
    np.savez_compressed(
        out,
        names=np.array(names),
        styles=np.array(styles, np.float16),
        embeddings=np.array(embeddings, np.float16),
        pitch_hz=np.array(pitches, np.float32),
    )


def _speak(hd: Hd, turbo: Turbo, rows: np.ndarray, sentence: str) -> np.ndarray:
    tokens = turbo.tokens(turbo.phonemes(sentence)[0])
    return hd.speak(tokens, row_for(rows, tokens.shape[1] - 2), 1.0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
