"""What is said and where: multilingual Whisper base, and the Silero voice activity detector beside it."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clone.core.settings import prepare_openmp

prepare_openmp()

from faster_whisper import WhisperModel
from faster_whisper.feature_extractor import FeatureExtractor
from faster_whisper.vad import VadOptions, get_speech_timestamps, get_vad_model

from clone.contract import cloning
from clone.core.jobs import Stop
from clone.engine import weights
from clone.engine.weights import N_THREADS

SAMPLE_RATE = 16_000
FRAME_S = 0.02
"""One encoder frame; Whisper halves its 10 ms mel frames."""

WINDOW_S = 10
"""The encoder reads up to 30 s; thirds cost less (attention is quadratic) and can be stopped in between."""

LANGUAGE_S = 30
"""Whisper tells the language from one window of its own."""

NAMES = {
    "af": "Afrikaans", "am": "Amharic", "ar": "Arabic", "as": "Assamese", "az": "Azerbaijani", "ba": "Bashkir",
    "be": "Belarusian", "bg": "Bulgarian", "bn": "Bengali", "bo": "Tibetan", "br": "Breton", "bs": "Bosnian",
    "ca": "Catalan", "cs": "Czech", "cy": "Welsh", "da": "Danish", "de": "German", "el": "Greek", "en": "English",
    "es": "Spanish", "et": "Estonian", "eu": "Basque", "fa": "Persian", "fi": "Finnish", "fo": "Faroese",
    "fr": "French", "gl": "Galician", "gu": "Gujarati", "ha": "Hausa", "haw": "Hawaiian", "he": "Hebrew",
    "hi": "Hindi", "hr": "Croatian", "ht": "Haitian Creole", "hu": "Hungarian", "hy": "Armenian", "id": "Indonesian",
    "is": "Icelandic", "it": "Italian", "ja": "Japanese", "jw": "Javanese", "ka": "Georgian", "kk": "Kazakh",
    "km": "Khmer", "kn": "Kannada", "ko": "Korean", "la": "Latin", "lb": "Luxembourgish", "ln": "Lingala",
    "lo": "Lao", "lt": "Lithuanian", "lv": "Latvian", "mg": "Malagasy", "mi": "Maori", "mk": "Macedonian",
    "ml": "Malayalam", "mn": "Mongolian", "mr": "Marathi", "ms": "Malay", "mt": "Maltese", "my": "Burmese",
    "ne": "Nepali", "nl": "Dutch", "nn": "Norwegian Nynorsk", "no": "Norwegian", "oc": "Occitan", "pa": "Punjabi",
    "pl": "Polish", "ps": "Pashto", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sa": "Sanskrit",
    "sd": "Sindhi", "si": "Sinhala", "sk": "Slovak", "sl": "Slovenian", "sn": "Shona", "so": "Somali",
    "sq": "Albanian", "sr": "Serbian", "su": "Sundanese", "sv": "Swedish", "sw": "Swahili", "ta": "Tamil",
    "te": "Telugu", "tg": "Tajik", "th": "Thai", "tk": "Turkmen", "tl": "Tagalog", "tr": "Turkish", "tt": "Tatar",
    "uk": "Ukrainian", "ur": "Urdu", "uz": "Uzbek", "vi": "Vietnamese", "yi": "Yiddish", "yo": "Yoruba",
    "yue": "Cantonese", "zh": "Chinese",
}  # fmt: skip
"""The languages it tells apart, by the codes it calls them."""

_VAD_AT_ONCE = int(cloning.REFERENCE_MAX_S) * SAMPLE_RATE
"""Samples in which speech is looked for at once: all that can be cloned. What is longer would take much memory."""

_VAD_WINDOWS = 512
"""Windows of 32 ms that its network is given at once: all of five minutes took 150 MB."""

_VAD = VadOptions(min_silence_duration_ms=300, speech_pad_ms=60, min_speech_duration_ms=100)


@dataclass(frozen=True)
class Word:
    """A word with the marks around it, and when it is said, in seconds."""

    text: str
    start_s: float
    end_s: float


class Recognizer:
    """Whisper base, multilingual, int8 on the CPU. Thread-safe; one run at a time."""

    def __init__(self, cache: Path) -> None:
        # From a folder, not from memory: a model read from memory keeps its 145 MB file there for good.
        with tempfile.TemporaryDirectory(prefix="timbre-") as folder:
            for part in weights.WHISPER:
                (Path(folder) / part.name).write_bytes(weights.load(part, cache))
            self._model = WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=N_THREADS)
        self._lock = threading.Lock()

    def transcribe(self, samples: np.ndarray, language: str | None = None) -> str:
        """Return what is said.

        Args:
            samples: float32, shape (n_samples,), mono, 16 kHz.
            language: ISO 639-1 code; None to detect it.
        """
        with self._lock:
            segments, _ = self._model.transcribe(
                samples,
                language=language,
                beam_size=5,
                temperature=0.0,  # retries at higher ones could take a minute, and nothing stops them
                condition_on_previous_text=False,
                without_timestamps=True,
            )
            return " ".join(segment.text.strip() for segment in segments)

    def words(self, samples: np.ndarray, language: str) -> list[Word]:
        """Return what is said, word by word.

        Args:
            samples: float32, shape (n_samples,), mono, 16 kHz.
            language: ISO 639-1 code.
        """
        with self._lock:
            segments, _ = self._model.transcribe(
                samples,
                language=language,
                beam_size=5,
                temperature=0.0,
                condition_on_previous_text=False,
                word_timestamps=True,
            )
            return [Word(each.word, each.start, each.end) for segment in segments for each in segment.words or ()]

    def language(self, samples: np.ndarray) -> tuple[str, float]:
        """Return the language spoken and how sure that is.

        Args:
            samples: float32, shape (n_samples,), mono, 16 kHz; the first 30 s count.

        Returns:
            (ISO 639-1 code, probability).
        """
        with self._lock:
            code, probability, _ = self._model.detect_language(samples[: LANGUAGE_S * SAMPLE_RATE])
        return code, float(probability)

    def features(self, samples: np.ndarray, stop: Stop | None = None) -> np.ndarray:
        """Return what the encoder makes of a recording.

        Args:
            samples: float32, shape (n_samples,), mono, 16 kHz.
            stop: obeyed between windows.

        Returns:
            float32, shape (n_frames, 512), one frame every 20 ms.
        """
        window = WINDOW_S * SAMPLE_RATE
        pieces = []
        for start in range(0, len(samples), window):
            if stop is not None:
                stop.check()
            pieces.append(self._encode(samples[start : start + window]))
        return np.concatenate(pieces)

    def _encode(self, samples: np.ndarray) -> np.ndarray:
        n_frames = int(np.ceil(len(samples) / (SAMPLE_RATE * FRAME_S)))
        mel = self._model.feature_extractor(samples)
        # The encoder takes any even number of mel frames up to 30 s, so a short clip costs a short run.
        n_mel = 2 * n_frames
        mel = np.pad(mel[:, :n_mel], ((0, 0), (0, max(0, n_mel - mel.shape[1]))), constant_values=mel.min())
        with self._lock:
            encoded = np.array(self._model.encode(mel.astype(np.float32)))
        return encoded.reshape(-1, encoded.shape[-1])[:n_frames].astype(np.float32)


def mel_basis(sample_rate: int, n_fft: int, n_mels: int) -> np.ndarray:
    """Return Slaney's mel filters, by which Whisper hears, at any resolution.

    librosa has them, too, but brings numba, and with it 125 MB that stay in memory.

    Returns:
        float32, shape (n_mels, n_fft // 2 + 1).
    """
    return np.asarray(FeatureExtractor.get_mel_filters(sample_rate, n_fft, n_mels), np.float32)


def speech_spans(samples: np.ndarray) -> list[tuple[float, float]]:
    """Return where somebody speaks.

    Args:
        samples: float32, shape (n_samples,), mono, 16 kHz.

    Returns:
        (start, end) in seconds, in order.
    """
    model = get_vad_model()
    if not isinstance(model.session, _InParts):
        model.session = _InParts(model.session)
    spans: list[tuple[float, float]] = []
    for begin in range(0, len(samples), _VAD_AT_ONCE):
        for span in get_speech_timestamps(samples[begin : begin + _VAD_AT_ONCE], _VAD, SAMPLE_RATE):
            start_s, end_s = (begin + span["start"]) / SAMPLE_RATE, (begin + span["end"]) / SAMPLE_RATE
            if spans and start_s <= spans[-1][1]:  # somebody goes on speaking from one part into the next
                start_s = spans.pop()[0]
            spans.append((start_s, end_s))
    return spans


class _InParts:
    """The detector's network, given a few windows at a time; what it remembers of them is handed on."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def run(self, _: None, inputs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        windows, h, c = inputs["input"], inputs["h"], inputs["c"]
        likely = []
        for at in range(0, len(windows), _VAD_WINDOWS):
            part, h, c = self._session.run(None, {"input": windows[at : at + _VAD_WINDOWS], "h": h, "c": c})
            likely.append(part)
        return np.concatenate(likely), h, c
