"""Measure Timbre on a folder of speakers: ``python -m bench FOLDER [--quick] [--against BEFORE.json] [--json FILE]``.

Both kinds of folder that ``bench.speakers`` knows are taken, and told apart. ``--quick`` takes about 3 minutes on two
idle cores; ``--no-timing`` is for a busy machine. ``bench.compare`` holds two kept runs against each other.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench import compare, kept, report, speakers, timing, work
from bench.measure import BOTH, ENCODERS, scale
from bench.texts import TEXTS, texts_of

QUICK_TEXTS = {"folders": 2, "files": 1}
QUICK_SPEAKERS = 14
"""Chosen evenly by name, of single recordings. Of folders there are fewer, and each has more to say."""


def main() -> None:
    arguments = _arguments()
    begun = time.perf_counter()
    people = speakers.read_folder(arguments.folder, arguments.speakers)
    if arguments.quick and people.protocol == "files" and arguments.speakers is None:
        people = speakers.read_folder(arguments.folder, QUICK_SPEAKERS)
    for name in people.left_out:
        _say(f"Left out: {name} has under {speakers.MIN_HELD_OUT_S:.0f} s to hold out")
    n_texts = arguments.texts or (QUICK_TEXTS[people.protocol] if arguments.quick else len(TEXTS))
    tasks = [work.Task(person, texts_of(i, n_texts), audio=arguments.audio) for i, person in enumerate(people.speakers)]
    timed = not (arguments.quick or arguments.no_timing)
    plan = {
        "protocol": people.protocol,
        "stages_s": {} if timed else None,
        "speakers": {person.name: person.fingerprint for person in people.speakers},
        "texts": {task.speaker.name: list(task.texts) for task in tasks},
        "left_out": people.left_out,
    }
    before = compare.read(arguments.against) if arguments.against else None
    if before:
        compare.check_alike(before, plan)  # now, not after minutes of work
    stages = None
    if timed:
        tasks, stages = _timed(tasks)
    results = list(_told(work.measure(tasks, None if arguments.no_cache else kept.FOLDER)))
    scales = _scales(results)
    found = plan | report.figures(list(_cells(results, scales, timed=timed)), people.protocol, stages)
    found |= {"cosines": scales, "took_s": time.perf_counter() - begun, "cpu_s": sum(os.times()[:4])}
    print(report.table(found))
    print(f"\nTook {found['took_s']:.0f} s, {found['cpu_s']:.0f} s of all cores together.")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if before:
        print("\n" + compare.table(compare.differences(before, found)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="Measure likeness, words, quality, manner and time.")
    parser.add_argument("folder", type=Path, help="a folder of ten recordings per speaker, or of one recording each")
    parser.add_argument("--quick", action="store_true", help="fewer texts and speakers, no times: about 3 minutes")
    parser.add_argument("--against", type=Path, metavar="BEFORE", help="compare with a run kept by --json")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--audio", type=Path, help="leave each clone there as <speaker>-<system>.wav, texts joined")
    parser.add_argument("--texts", type=int, choices=range(1, len(TEXTS) + 1), help="how many each speaker says")
    parser.add_argument("--speakers", type=int, help="only so many, chosen evenly by name, at least 2")
    parser.add_argument("--no-timing", action="store_true", help="measure no times: faster, and for a busy machine")
    parser.add_argument("--no-cache", action="store_true", help="measure the real recordings anew")
    return parser.parse_args()


def _timed(tasks: list[work.Task]) -> tuple[list[work.Task], dict[str, Any]]:
    """Make all clips in this process alone, with both cores as a person has them, and time it."""
    with tempfile.TemporaryDirectory(prefix="timbre-bench-") as folder:
        maker = work.Maker(Path(folder))
        try:
            made = []
            for task in tasks:
                _say(f"Speaking as {task.speaker.name}")
                clips = maker.clips(task.speaker, task.texts)
                made.append(work.Task(task.speaker, task.texts, clips, task.audio))
            people = [task.speaker for task in tasks]
            return made, timing.measure(maker.studio, maker.kokoro, people, Path(folder))
        finally:
            maker.studio.close()


def _told(results: Iterator[work.Found]) -> Iterator[work.Found]:
    for found in results:
        _say(f"Measured {found.speaker}")
        yield found


def _scales(results: list[work.Found]) -> dict[str, dict[str, float]]:
    """Return both ends of every encoder's scale."""
    return {
        name: dict(zip(("different", "same"), scale(*np.stack([f.real[name] for f in results], axis=1)), strict=True))
        for name in ENCODERS
    }


def _cells(results: list[work.Found], scales: dict[str, dict[str, float]], *, timed: bool) -> Iterator[report.Measured]:
    for row in (row for found in results for row in found.rows):
        likeness = {
            name: (cosine - scales[name]["different"]) / (scales[name]["same"] - scales[name]["different"])
            for name, cosine in row.cosines.items()
        }
        clip = row.clip
        yield report.Measured(
            speaker=clip.speaker,
            system=clip.system,
            text=work.text_number(clip),
            heard=row.heard,
            likeness=likeness | {BOTH: float(np.mean(list(likeness.values())))},
            errors=row.errors,
            words=row.words,
            dnsmos=row.dnsmos,
            **row.manner,
            took_s=clip.took_s if timed else None,
            cpu_s=clip.cpu_s,
            duration_s=row.duration_s,
        )


def _say(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
