"""Measure Timbre on a folder of speakers: ``python -m bench FOLDER --json FILE [--audio DIR]``."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from bench import report, speakers, systems, timing
from bench.measure import Judge, word_errors
from bench.texts import TEXTS
from clone.settings import Settings
from clone.studio import Studio

READY_S = 120.0
PAUSE_S = 0.5


def main() -> None:
    arguments = _arguments()
    people = speakers.load(arguments.folder, arguments.speakers)
    texts = TEXTS[: arguments.texts]
    with tempfile.TemporaryDirectory(prefix="timbre-bench-") as folder:
        home = Path(folder)
        studio = _started(home / "home")
        try:
            kokoro = systems.Kokoro(home / "weights")
            clips = list(_clips(studio, kokoro, people, texts, home))
            stages = timing.measure(studio, kokoro, people, home)
        finally:
            studio.close()
    if arguments.audio:
        _keep_audio(clips, arguments.audio)
    _say("Measuring the clips")
    judge = Judge(people)
    found = report.figures([_measured(judge, clip) for clip in clips], stages)
    found |= {"speakers": [speaker.name for speaker in people], "n_texts": len(texts), "cosines": judge.scales()}
    print(report.table(found))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="Measure likeness, words, quality and time.")
    parser.add_argument("folder", type=Path, help="one folder of at least ten recordings per speaker")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--audio", type=Path, help="leave each clone there as <speaker>-<system>.wav, texts joined")
    parser.add_argument("--texts", type=int, default=len(TEXTS), choices=range(1, len(TEXTS) + 1), help="how many")
    parser.add_argument("--speakers", type=int, help="only the first so many, at least 2")
    return parser.parse_args()


def _started(home: Path) -> Studio:
    home.mkdir()
    studio = Studio(Settings.at(home))
    studio.start()
    deadline = time.monotonic() + READY_S
    while not studio.ready:
        if time.monotonic() > deadline:
            studio.close()
            raise SystemExit(f"The models were not ready after {READY_S:.0f} s.")
        time.sleep(0.1)
    return studio


def _clips(
    studio: Studio,
    kokoro: systems.Kokoro,
    people: list[speakers.Speaker],
    texts: tuple[str, ...],
    folder: Path,
) -> Iterator[systems.Clip]:
    for speaker in people:
        _say(f"Speaking as {speaker.name}")
        yield from systems.clones(studio, speaker, texts, folder)
        yield from systems.stock(kokoro, speaker, texts)
        yield from systems.real(speaker, len(texts))


def _measured(judge: Judge, clip: systems.Clip) -> report.Measured:
    sound = speakers.to_rate(clip.samples, clip.sample_rate)
    # A piece of the held-out recordings is compared with the recording that is cloned, never with itself.
    cosines = judge.likeness(clip.speaker, sound, to_reference=clip.system == "real")
    heard = judge.transcribe(sound) if clip.text else ""
    errors, words = word_errors(clip.text, heard) if clip.text else (0, 0)
    return report.Measured(
        clip.speaker,
        clip.system,
        heard,
        {encoder: judge.normalise(encoder, value) for encoder, value in cosines.items()},
        errors,
        words,
        judge.dnsmos(sound),
        clip.took_s,
        len(clip.samples) / clip.sample_rate,
    )


def _keep_audio(clips: list[systems.Clip], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    together = defaultdict(list)
    for clip in clips:
        if clip.text:
            together[clip.speaker, clip.system].append(clip)
    for (speaker, system), said in together.items():
        rate = said[0].sample_rate
        pause = np.zeros(int(PAUSE_S * rate), np.float32)
        joined = np.concatenate([part for clip in said for part in (clip.samples, pause)])
        soundfile.write(folder / f"{speaker}-{system}.wav", joined, rate)


def _say(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
