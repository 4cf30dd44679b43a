"""Make the example voices in assets/examples: three people who do not exist, so that nobody's consent is needed.

    npm pack kokoro-js@1.2.1 && tar xzf kokoro-js-1.2.1.tgz
    python scripts/build_examples.py package/voices

Each is spoken by Kokoro in a mixture of its stock voices that is no entry of assets/styles.npz, stretched away from the
average so that the three are easy to tell apart.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from clone.audio.reader import resample
from clone.engine.styles import PROSODY, TIMBRE
from clone.engine.tts import SAMPLE_RATE, Hd, Turbo
from tests import sounds

PAUSE_S = 0.45


@dataclass(frozen=True)
class Example:
    """Who is made, and what is said.

    Attributes:
        timbre, prosody: shares of stock voices.
        stretch: how far the timbre lies from the average voice.
        height: pitch and formants together, as a smaller or larger throat would have them: no style reaches there, so
            that a clone has something to convert.
    """

    file: str
    name: str
    about: str
    timbre: dict[str, float]
    prosody: dict[str, float]
    stretch: float
    height: float
    text: tuple[str, ...]


EXAMPLES = (
    Example(
        "ada.m4a",
        "Ada",
        "calm, low for a woman",
        {"af_nicole": 0.2, "bf_emma": 0.5, "zf_xiaoni": 0.3},
        {"bf_emma": 0.7, "af_kore": 0.3},
        1.25,
        0.88,
        (
            "My grandmother kept bees behind the orchard, and every summer she let me lift the wooden frames.",
            "You have to move slowly, she said, and you must never breathe on them.",
            "The honey from the lime trees was pale and thin, but "
            "the one from the heather was almost too thick to pour.",
            "I still have her gloves, though they are far too small for me now.",
        ),
    ),
    Example(
        "ben.mp3",
        "Ben",
        "deep and unhurried",
        {"am_onyx": 0.6, "am_fenrir": 0.4},
        {"am_onyx": 0.5, "bm_george": 0.5},
        1.2,
        0.88,
        (
            "The night train used to stop here for exactly four minutes, just long enough to change the driver.",
            "People would climb down in their coats, look at the clock, and climb back in again.",
            "Nobody ever stayed, except for one old teacher who missed the whistle.",
            "He opened a bakery on the square, and forty years later it is still the best in town.",
        ),
    ),
    Example(
        "cleo.wav",
        "Cleo",
        "bright and quick",
        {"jf_alpha": 0.4, "af_sky": 0.3, "hf_beta": 0.3},
        {"af_jessica": 0.6, "af_sky": 0.4},
        1.3,
        1.15,
        (
            "Right, so the plan for Saturday is simple: we meet at the fountain at nine, and then we walk.",
            "Bring water, bring a hat, and please don't wear those shoes again.",
            "The path goes up through the vineyards, past the chapel, and along the ridge to the lighthouse.",
            "If the weather turns, we take the little bus back, and I'll buy everyone a hot chocolate.",
        ),
    ),
)


def main(voices: Path) -> None:
    """Speak every example and write it, with what the page says about it."""
    cache = ROOT / "weights"
    hd, turbo = Hd(cache), Turbo(cache)
    packs = {pack.stem: np.fromfile(pack, np.float32).reshape(-1, 256) for pack in voices.glob("*.bin")}
    out = ROOT / "assets" / "examples"
    out.mkdir(parents=True, exist_ok=True)
    for example in EXAMPLES:
        samples = _speak(hd, turbo, _style(packs, example), example)
        kind = example.file.rsplit(".", 1)[1]
        (out / example.file).write_bytes(sounds.encode(samples, SAMPLE_RATE, kind))
        print(f"{example.file}: {len(samples) / SAMPLE_RATE:.1f} s")
    listed = [{"file": e.file, "name": e.name, "about": e.about} for e in EXAMPLES]
    (out / "examples.json").write_text(json.dumps(listed, indent=2) + "\n")


def _style(packs: dict[str, np.ndarray], example: Example) -> np.ndarray:
    average = np.mean(list(packs.values()), axis=0)
    mixed = np.zeros_like(average)
    for half, shares in ((TIMBRE, example.timbre), (PROSODY, example.prosody)):
        mixed[:, half] = sum(share * packs[name][:, half] for name, share in shares.items())
    mixed[:, TIMBRE] = average[:, TIMBRE] + example.stretch * (mixed - average)[:, TIMBRE]
    return mixed


def _speak(hd: Hd, turbo: Turbo, style: np.ndarray, example: Example) -> np.ndarray:
    pieces, rate = [], round(SAMPLE_RATE * example.height)
    for sentence in example.text:
        tokens = turbo.tokens(turbo.phonemes(sentence)[0])
        # Spoken as much faster as the height makes it slower, so that the pace stays.
        speech = resample(hd.speak(tokens, style[tokens.shape[1] - 3], 1 / example.height), rate, SAMPLE_RATE)
        pieces += [speech, np.zeros(int(PAUSE_S * SAMPLE_RATE), np.float32)]
    samples = np.concatenate(pieces)
    return np.asarray(samples * (0.7 / np.abs(samples).max()), np.float32)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
