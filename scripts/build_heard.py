"""Make tests/data/heard.tsv anew: what the recogniser writes when sentences with numbers are spoken.

    python scripts/build_heard.py tests/data/heard.tsv

The first column is what is said, written out as a person writes down what they hear; it is kept. The second is what
Whisper base heard of it, word for word: the clones of the example voices say the sentences by turns, two with turbo,
two with hd. About five minutes on two cores.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from clone.audio.reader import read
from clone.engine.backend import Heard, LocalBackend
from clone.engine.conversion import SAMPLE_RATE

MODELS = ("speech-2.8-turbo", "speech-2.8-hd")


def main(path: Path) -> None:
    said = [line.split("\t")[0] for line in path.read_text(encoding="utf-8").splitlines()]
    examples = sorted(
        each for each in (ROOT / "assets" / "examples").iterdir() if each.suffix in {".mp3", ".m4a", ".wav"}
    )
    with tempfile.TemporaryDirectory() as folder:
        backend = LocalBackend(Path(folder))
        recordings = [read(each) for each in examples]
        voices = [backend.learn(backend.listen(each.samples, each.sample_rate), None) for each in recordings]
        rows = []
        for i, sentence in enumerate(said):
            voice, model = voices[i % len(voices)], MODELS[i // 2 % 2]
            spoken = np.concatenate([backend.speak(voice, line, model) for line in backend.script(sentence)])
            rows.append(f"{sentence}\t{backend.transcribe(Heard(spoken, SAMPLE_RATE, []))}\n")
            print(rows[-1], end="", flush=True)
    path.write_text("".join(rows), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
