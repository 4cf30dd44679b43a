"""How soon a text is heard: ``python -m bench.early RECORDING [--repeats N]``.

Each text is spoken with both kinds of model from its first sentence on, in turns: as a listener gets it, in parts, and
as it was before, the first sentence whole. Seconds from the order to the first sound, of a voice that is known.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from bench.systems import INSTALLED, MODELS, follow, started
from bench.texts import TEXTS
from clone.contract.cloning import CloneOptions
from clone.core.jobs import Stop
from clone.studio.facade import CloneOrder, Passage, SpeakOrder, Studio

LONGER = (
    "Yes.",
    *TEXTS,
    "Nobody who had been on the pier that night could say afterwards whether the ferry had turned back because of the "
    "fog or because somebody on the bridge had seen the light that the boys had put up on the old tower for a joke.",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.early", description="Measure how soon a text is heard.")
    parser.add_argument("recording", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="timbre-bench-") as folder:
        studio = started(Path(folder) / "home", INSTALLED)
        try:
            order = CloneOrder("bench", arguments.recording, CloneOptions(), consent=True)
            voice_id = follow(studio.clone(order))[0].voice.voice_id
            _measure(studio, voice_id, arguments.repeats)
        finally:
            studio.close()


def _measure(studio: Studio, voice_id: str, n_repeats: int) -> None:
    print(f"{'':<7}{'text':<34}{'in parts':>10}{'whole':>10}   medians of {n_repeats}, seconds to the first sound")
    for system, model in MODELS.items():
        for text in LONGER:
            parts, whole = [], []
            for _ in range(n_repeats):
                parts.append(_first_s(studio, SpeakOrder("bench", voice_id, text, model)))
                whole.append(_sentence_s(studio, voice_id, text, model))
            print(f"{system:<7}{text[:30]:<34}{statistics.median(parts):>10.2f}{statistics.median(whole):>10.2f}")


def _first_s(studio: Studio, order: SpeakOrder) -> float:
    begun = time.perf_counter()
    events = studio.speak_long(order)
    for event in events:
        if isinstance(event, Passage):
            heard_s = time.perf_counter() - begun
            events.close()
            return heard_s
    raise SystemExit("Nothing was spoken.")


def _sentence_s(studio: Studio, voice_id: str, text: str, model: str) -> float:
    backend = studio._backend
    profile = studio._synthesis.profile(studio.voice(voice_id, "bench"), Stop())
    begun = time.perf_counter()
    backend.speak(profile, backend.script(text)[0], model)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
