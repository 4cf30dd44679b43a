"""Does a long text stay what it was: ``python -m bench.drift RECORDING [--model speech-2.8-hd] [--json FILE]``.

10,000 characters are streamed as the page streams them, and written to a file sentence by sentence. Then every
sentence is measured: level, pitch, likeness to the recording. What is printed: the first, the middle and the last tenth
of the sentences, the change from the first sentence to the last by a straight line, and what the streaming took.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import soundfile

from bench import long_text, systems
from bench.speakers import SAMPLE_RATE, to_rate
from clone.audio.reader import read
from clone.contract.cloning import CloneOptions
from clone.engine.speaker import median_pitch_hz
from clone.studio.facade import Cloned, CloneOrder, Passage, SpeakOrder, Stage, Studio

OWNER = "bench-drift"
MODELS = ("speech-2.8-turbo", "speech-2.8-hd")
N_PARTS = 10
SURE = 1.96
"""Standard errors on each side of a 95 % interval; a long text has about ninety sentences."""

UNITS = {"level": "dB", "pitch": "st", "resemblyzer": "", "dvector": ""}
MIN_S = 1.0
"""A sentence shorter than this has no voice to compare: its likeness is left out."""


@dataclass(frozen=True)
class Streamed:
    """What streaming took: where each sentence ends in the file (samples), seconds, and memory in MB by tenths."""

    ends: list[int]
    sample_rate: int
    first_sound_s: float
    took_s: float
    memory_mb: list[float]
    peak_mb: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.drift", description="Measure how a long text drifts.")
    parser.add_argument("recording", type=Path, help="whom to clone: 10 s to 5 minutes of speech")
    parser.add_argument("--model", default=MODELS[0], help=f"such as {' or '.join(MODELS)}")
    parser.add_argument("--characters", type=int, default=long_text.LENGTH, help="length of the text")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    text = long_text.text(arguments.characters)
    with tempfile.TemporaryDirectory(prefix="timbre-bench-") as folder:
        speech = Path(folder) / "speech.wav"
        studio = systems.started(Path(folder) / "home", systems.INSTALLED)
        try:
            streamed = stream(studio, arguments.recording, arguments.model, text, speech)
        finally:
            studio.close()
        sentences = _sentences(speech, streamed.ends)
    whole = read(arguments.recording)
    measured = _measured(sentences, to_rate(whole.samples, whole.sample_rate))
    found = {"model": arguments.model, "n_characters": len(text), "n_sentences": len(sentences)}
    found |= {"drift": {name: drift(values) for name, values in measured.items()}, "streaming": _streaming(streamed)}
    print(table(found))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def stream(studio: Studio, recording: Path, model: str, text: str, file: Path) -> Streamed:
    """Clone a recording, then speak a text into a file as it comes; no more than a sentence is held here."""
    order = CloneOrder(owner=OWNER, audio=recording, options=CloneOptions(), consent=True)
    voice = cast(Cloned, list(studio.clone(order))[-1]).voice
    forget_peak()
    ends: list[int] = []
    memory = [memory_mb()]
    begun, first_sound_s, rate, n_sentences = time.perf_counter(), 0.0, 0, 0
    sound: soundfile.SoundFile | None = None
    try:
        for event in studio.speak_long(SpeakOrder(OWNER, voice.voice_id, text, model)):
            if isinstance(event, Stage):
                n_sentences = event.total
            if not isinstance(event, Passage):
                continue
            if sound is None:
                first_sound_s, rate = time.perf_counter() - begun, event.sample_rate
                sound = soundfile.SoundFile(file, "w", rate, 1, "FLOAT")
            sound.write(event.samples)
            ends.append(sound.tell())
            if len(ends) * N_PARTS >= len(memory) * n_sentences:
                memory.append(memory_mb())
    finally:
        if sound is not None:
            sound.close()
    return Streamed(ends, rate, first_sound_s, time.perf_counter() - begun, memory, memory_mb("VmHWM"))


def forget_peak() -> None:
    """Let the system begin anew to note the most memory that this process takes."""
    Path("/proc/self/clear_refs").write_text("5")


def memory_mb(what: str = "VmRSS") -> float:
    """Return what this process takes of the machine's memory in MB; with ``VmHWM``, the most it ever took."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(what))


def drift(values: np.ndarray) -> dict[str, Any]:
    """Return how a measurement changes over the sentences of a text.

    Args:
        values: one a sentence, in order, shape (n_sentences,); nan where there is none. At least three.

    Returns:
        Means of the ``first``, ``middle`` and ``last`` tenth; ``change`` from first to last sentence along the
        straight line that fits best; its 95 % interval ``ci95``; ``spread``, the standard deviation around that line.
    """
    at = np.linspace(0, 1, len(values))
    known = np.isfinite(values)
    x, y = at[known] - at[known].mean(), values[known]
    slope = float(x @ y / (x @ x))
    rest = y - y.mean() - slope * x
    spread = float(np.sqrt(rest @ rest / max(1, len(y) - 2)))
    error = SURE * spread / float(np.sqrt(x @ x))
    tenths = {"first": at <= 0.1, "middle": np.abs(at - 0.5) <= 0.05, "last": at >= 0.9}
    return {
        **{name: _mean(values[known & where]) for name, where in tenths.items()},
        "change": slope,
        "ci95": [slope - error, slope + error],
        "spread": spread,
    }


def table(found: dict[str, Any]) -> str:
    """Return the figures as text."""
    lines = [f"{found['model']}, {found['n_characters']} characters, {found['n_sentences']} sentences", ""]
    lines.append(f"{'':<16}{'first':>8}{'middle':>8}{'last':>8}{'change':>9}  95 % interval, spread of a sentence")
    for name, row in found["drift"].items():
        low, high = row["ci95"]
        means = "".join(f"{row[part]:>8.3f}" for part in ("first", "middle", "last"))
        changed = f"{row['change']:>+9.3f}  {low:+.3f} to {high:+.3f}, {row['spread']:.3f}"
        lines.append(f"{name + ' ' + UNITS[name]:<16}{means}{changed}")
    took = found["streaming"]
    lines += [
        "",
        "level: mean power of the louder half; pitch: the median, above the recording's; else cosine to the recording",
        f"{took['speech_s']:.0f} s of speech; first sound after {took['first_sound_s']:.2f} s, "
        f"real-time factor {took['rtf']:.3f}",
        "memory at each tenth, MB: " + ", ".join(f"{mb:.0f}" for mb in took["memory_mb"]),
        f"grew by at most {took['grew_mb']:.0f} MB between tenths, {took['peak_grew_mb']:.0f} MB at its peak",
    ]
    return "\n".join(lines)


def _sentences(file: Path, ends: list[int]) -> list[np.ndarray]:
    """Return the sentences of a file at 16 kHz."""
    samples, rate = soundfile.read(file, dtype="float32")
    return [to_rate(part, rate) for part in np.split(samples, ends[:-1])]


def _measured(sentences: list[np.ndarray], original: np.ndarray) -> dict[str, np.ndarray]:
    from bench.measure import ENCODERS, Judge

    judge, centre = Judge([]), median_pitch_hz(original)
    measured = {"level": [_level_db(sound) for sound in sentences], "pitch": [_pitch(s, centre) for s in sentences]}
    for name in ENCODERS:
        person = judge.embed(name, original)
        measured[name] = [
            float(judge.embed(name, sound) @ person) if len(sound) >= MIN_S * SAMPLE_RATE else np.nan
            for sound in sentences
        ]
    return {name: np.asarray(values) for name, values in measured.items()}


def _level_db(sound: np.ndarray) -> float:
    """Return the level of the loud half of a sentence's 50 ms blocks in dB: pauses do not count."""
    block = SAMPLE_RATE // 20
    power = np.sort((sound[: len(sound) // block * block].reshape(-1, block) ** 2).mean(axis=1))
    return float(10 * np.log10(power[len(power) // 2 :].mean() + 1e-12))


def _pitch(sound: np.ndarray, centre_hz: float) -> float:
    """Return the median pitch in semitones above a centre; nan where nothing is voiced."""
    found = median_pitch_hz(sound)
    return float(12 * np.log2(found / centre_hz)) if found and centre_hz else np.nan


def _streaming(streamed: Streamed) -> dict[str, Any]:
    speech_s = streamed.ends[-1] / streamed.sample_rate
    return {
        "first_sound_s": streamed.first_sound_s,
        "rtf": streamed.took_s / speech_s,
        "speech_s": speech_s,
        "memory_mb": streamed.memory_mb,
        "grew_mb": max(streamed.memory_mb) - streamed.memory_mb[0],
        "peak_grew_mb": streamed.peak_mb - streamed.memory_mb[0],
    }


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


if __name__ == "__main__":
    main()
