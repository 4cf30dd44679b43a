"""How well the preflight hears: ``python -m bench.faults FOLDER [--json FILE]``, a folder of clean speech, flac or wav.

Each fault is added to each recording by a known amount, and the verdict is asked for. What is printed: how often it is
found, and how often it is claimed of the recording as it was.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import signal

from clone.audio import preflight, turns
from clone.audio.reader import Recording, read, resample
from clone.audio.writer import mp3_bytes
from clone.engine.backend import LocalBackend

RATE = 16_000
AT_LEAST_S, AT_MOST_S = 10.0, 30.0
SEED = 0

Samples = np.ndarray
Random = np.random.Generator
Fault = Callable[[Samples, Random], Samples]


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.faults", description="Measure how well faults are found.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    recordings = speech(arguments.folder)
    with tempfile.TemporaryDirectory(prefix="timbre-bench-") as cache:
        backend = LocalBackend(Path(cache))
        random = np.random.default_rng(SEED)
        clean = [warned(backend, samples) for samples in recordings]
        found = {
            name: {
                "code": code,
                "hits": float(np.mean([code in warned(backend, fault(samples, random)) for samples in recordings])),
                "false_alarms": float(np.mean([code in codes for codes in clean])),
            }
            for name, (code, fault) in FAULTS.items()
        }
        name, code = "two people, 12 s and 8 s", "speakers"
        half = len(recordings) // 2  # far enough apart to be another person
        pairs = list(zip(recordings, recordings[half:] + recordings[:half], strict=True))
        hits = [code in warned(backend, joined(*pair)) for pair in pairs]
        alarms = [code in codes for codes in clean]
        found[name] = {"code": code, "hits": float(np.mean(hits)), "false_alarms": float(np.mean(alarms))}
    print(f"{len(recordings)} recordings\n\n| fault | finding | found | claimed of clean |\n|---|---|---|---|")
    for name, row in found.items():
        print(f"| {name} | {row['code']} | {row['hits']:.0%} | {row['false_alarms']:.0%} |")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def speech(folder: Path) -> list[Samples]:
    """Return recordings of 10 to 30 s at 16 kHz; the files of a subfolder, one speaker's, are joined in threes."""
    groups: list[list[Path]] = []
    for place in (folder, *sorted(each for each in folder.iterdir() if each.is_dir())):
        files = sorted(path for path in place.iterdir() if path.suffix in {".flac", ".wav"})
        step = 1 if place == folder else 3
        groups += [files[i : i + step] for i in range(0, len(files), step)]
    read_in = [np.concatenate([_read(path) for path in group])[: round(AT_MOST_S * RATE)] for group in groups]
    return [samples for samples in read_in if len(samples) >= AT_LEAST_S * RATE]


def _read(path: Path) -> Samples:
    recording = read(path)
    return resample(recording.samples, recording.sample_rate, RATE)


def warned(backend: LocalBackend, samples: Samples) -> set[str]:
    """Return the codes of what is said against a recording."""
    recording = Recording(samples.astype(np.float32), RATE, "wav", 1, "")
    heard = backend.listen(recording.samples, RATE)
    report = preflight.check(recording, 1, heard.spans)
    if heard.spans:
        report = preflight.complete(report, turns.who_speaks(*backend.voices(heard)), None)
    return {finding.code for finding in report.findings if finding.severity in {"warn", "refuse"}}


def joined(one: Samples, other: Samples) -> Samples:
    return np.concatenate([one[: 12 * RATE], np.zeros(RATE // 2, np.float32), other[: 8 * RATE]])


def noise(below_db: float, *, red: bool = False) -> Fault:
    def fault(samples: Samples, random: Random) -> Samples:
        hiss = random.standard_normal(len(samples))
        if red:
            hiss = signal.lfilter([1.0], [1.0, -0.9], hiss)
        return samples + hiss * (_rms(samples) / _rms(hiss) * 10 ** (-below_db / 20))

    return fault


def clipped(share: float) -> Fault:
    def fault(samples: Samples, random: Random) -> Samples:
        top = np.quantile(np.abs(samples), 1 - share)
        return np.clip(samples, -top, top)

    return fault


def telephone(samples: Samples, random: Random) -> Samples:
    return np.asarray(signal.sosfilt(signal.butter(6, (300, 3400), "bandpass", fs=RATE, output="sos"), samples))


def compressed(bit_rate: int) -> Fault:
    def fault(samples: Samples, random: Random) -> Samples:
        with tempfile.NamedTemporaryFile(suffix=".mp3") as file:
            Path(file.name).write_bytes(mp3_bytes(samples, RATE, bit_rate))
            return _read(Path(file.name))

    return fault


def hum(hz: float, below_db: float) -> Fault:
    def fault(samples: Samples, random: Random) -> Samples:
        at = np.arange(len(samples)) / RATE
        lines = sum(np.sin(2 * np.pi * hz * k * at + random.uniform(0, 6)) / k for k in (1, 2, 3))
        return samples + lines * (_rms(samples) / _rms(np.asarray(lines)) * 10 ** (-below_db / 20))

    return fault


def room(decay_s: float) -> Fault:
    """A room whose reverberation is as loud as the voice itself."""

    def fault(samples: Samples, random: Random) -> Samples:
        n = round(decay_s * RATE)
        tail = random.standard_normal(n) * 10 ** (-3 * np.arange(n) / n)
        tail[: round(0.0025 * RATE)] = 0.0
        tail /= np.sqrt(np.sum(tail**2))
        tail[0] = 1.0
        return np.asarray(signal.fftconvolve(samples, tail)[: len(samples)])

    return fault


def offset(share: float) -> Fault:
    return lambda samples, random: samples + share


def quieter(by_db: float) -> Fault:
    return lambda samples, random: samples * 10 ** (-by_db / 20)


def silence_before(seconds: float) -> Fault:
    return lambda samples, random: np.concatenate([np.zeros(round(seconds * RATE)), samples])


def _rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples))))


FAULTS: dict[str, tuple[str, Fault]] = {
    "white noise 20 dB below": ("noise", noise(20.0)),
    "white noise 10 dB below": ("noise", noise(10.0)),
    "red noise 15 dB below": ("noise", noise(15.0, red=True)),
    "0.3 % of samples clipped": ("clipping", clipped(0.003)),
    "1 % of samples clipped": ("clipping", clipped(0.01)),
    "telephone, 300 to 3400 Hz": ("bandwidth", telephone),
    "mp3 of 24 kbit/s": ("bandwidth", compressed(24_000)),
    "hum of 50 Hz, 10 dB below": ("hum", hum(50.0, 10.0)),
    "hum of 60 Hz, 10 dB below": ("hum", hum(60.0, 10.0)),
    "room of 0.6 s": ("echo", room(0.6)),
    "room of 0.9 s": ("echo", room(0.9)),
    "2 % off centre": ("dc", offset(0.02)),
    "20 dB quieter": ("loudness", quieter(20.0)),
    "3 s of silence before": ("edges", silence_before(3.0)),
}

if __name__ == "__main__":
    main()
