"""How long cloning takes, stage by stage, beside what Kokoro alone takes for the same preview in the same run."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from bench.speakers import Speaker
from bench.systems import MODELS, Kokoro, clone_order, follow
from bench.texts import PREVIEW
from clone.audio.reader import read
from clone.engine import tts
from clone.studio.facade import Studio

N_REPEATS = 3
DEFAULT_VOICE = "af_heart"


def measure(studio: Studio, kokoro: Kokoro, people: list[Speaker], folder: Path) -> dict[str, Any]:
    """Clone 30 s of a speaker with a preview of about 10 s, and time it; each time another speaker.

    Kokoro, hd and turbo take turns, so that a busy moment of the machine meets all three; medians count.
    Kokoro speaks in its default voice, at an ordinary pace: some stock voices drawl, and would flatter the clones.
    A clone of somebody slow says the preview more slowly, which takes longer: the ratios are to what Kokoro would
    take for as much speech as the clone's.

    Returns:
        Seconds (``kokoro_alone_s``, ``hd_clone_s``, ``turbo_clone_s``), the speech in each (``kokoro_alone_speech_s``
        and so on), ratios to Kokoro alone for as much speech (``ratio_hd``, ``ratio_turbo``), and the seconds of each
        stage under ``hd`` and ``turbo``.
    """
    style = kokoro.style(DEFAULT_VOICE)
    taken: dict[str, list[float]] = defaultdict(list)
    lasting: dict[str, list[float]] = defaultdict(list)
    stages: dict[str, list[dict[str, float]]] = defaultdict(list)
    for repeat in range(N_REPEATS):
        speaker = people[repeat % len(people)]
        begun = time.perf_counter()
        samples = kokoro.speak(PREVIEW, style)
        taken["kokoro"].append(time.perf_counter() - begun)
        lasting["kokoro"].append(len(samples) / tts.SAMPLE_RATE)
        for system, model in MODELS.items():
            # A new owner every time: the same request of the same owner is answered from what is kept.
            owner = f"timing-{system}-{repeat}"
            order = clone_order(speaker, folder / f"{speaker.name}.wav", owner, text=PREVIEW, model=model)
            begun = time.perf_counter()
            cloned, spent = follow(studio.clone(order))
            taken[system].append(time.perf_counter() - begun)
            stages[system].append(spent)
            lasting[system].append(read(studio.audio(cloned.voice.voice_id, owner, "preview")).duration_s)
    return _summary(taken, lasting, stages)


Seconds = dict[str, list[float]]


def _summary(taken: Seconds, lasting: Seconds, stages: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    summary: dict[str, Any] = {"kokoro_alone_s": statistics.median(taken["kokoro"])}
    summary["kokoro_alone_speech_s"] = statistics.median(lasting["kokoro"])
    alone = [spent / speech_s for spent, speech_s in zip(taken["kokoro"], lasting["kokoro"], strict=True)]
    for system in MODELS:
        # Turns that lie beside each other are compared, then the middle one counts.
        mine = zip(taken[system], lasting[system], alone, strict=True)
        ratios = [spent / (speech_s * a_second) for spent, speech_s, a_second in mine]
        summary[f"{system}_clone_speech_s"] = statistics.median(lasting[system])
        summary[f"{system}_clone_s"] = statistics.median(taken[system])
        summary[f"ratio_{system}"] = statistics.median(ratios)
        summary[system] = {
            name: statistics.median(run.get(name, 0.0) for run in stages[system]) for name in stages[system][0]
        }
    return summary
