"""Pocket TTS: a zero-shot model that goes on speaking as the recording does, with its rhythm, breath and accent.

Five networks of Kyutai's, run frame by frame (80 ms): the recording is read first, then the text, then each frame is
drawn from noise. What was read of the recording is the voice; it is kept with it and never read again. A part of a
sentence is handed over once the recognizer has heard it: where it misses words, another way to say it is drawn.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer
from tokenizers.models import Unigram

from clone.audio import enhance, quality, segment, turns
from clone.audio.reader import resample
from clone.contract.speech import SpeechSettings
from clone.core.jobs import Stop
from clone.engine import transcript
from clone.engine.asr import SAMPLE_RATE as HEARD_RATE
from clone.engine.asr import Recognizer
from clone.engine.engine import SAMPLE_RATE, Heard, Line, Manner, Networks, trimmed, voices
from clone.engine.g2p.text import CLAUSE_PAUSE_S, written_out
from clone.engine.profile import Profile
from clone.engine.weights import open_session

if TYPE_CHECKING:
    from clone.engine.models import Models

FRAME_SAMPLES = 1920
FRAMES_PER_S = 12.5
LATENT = 32
WIDTH = 1024
POSITIONS = 1000
"""What the network remembers: frames of the recording, tokens of the text and frames spoken, together."""

REFERENCE_S = (5.0, 12.0)
"""Of the recording; more of it is slower, and takes room from what is said."""

ENDS_IN_S, FADE_S = 0.08, 0.02
"""The recording ends in so much silence, faded into: speech would begin with a burst otherwise."""

NOISY_DB = 25.0
"""Noise is cloned like everything else: a recording whose noise is nearer to the voice than this is cleaned first."""

END_LOGIT = -4.0
AFTER_END_FRAMES = 3
UNBELIEVED_FRAMES = 6
"""An end so early is none: the text is not said by then."""

TOKENS_PER_S, SLACK_S = 3.0, 2.0
"""No text takes longer than this: what goes on has lost its thread."""

MAX_TOKENS, FIRST_TOKENS = 50, 22
"""Spoken at once; the first part of what is wanted early is shorter."""

FIRST_WORDS = 4
ATTEMPTS = 3
GOOD = 0.999
FADE_IN_S = 0.005

_VERSION = "1"
_TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(bool)": np.bool_}
_WORDS = re.compile(r"\S{1,40}\s*")
"""What has no space in it for longer is parted: letters that no piece has take three tokens each."""

_CLAUSE_ENDS = ",;:—"
_SMALL = frozenset(
    {"and", "but", "or", "because", "that", "which", "who", "when", "while"}
    | {"with", "in", "on", "at", "to", "for", "from", "by", "as"}
)
_QUOTES = str.maketrans("‘’“”„«»", '\'\'"""""')


@dataclass(frozen=True)
class Sampling:
    """How frames are drawn: little noise is clearer speech, more steps are slower and finer."""

    temperature: float = 0.3
    n_steps: int = 2


class _Network:
    """One of the five; its inputs are given in order, as all exports agree on that and not on their names."""

    def __init__(self, model: bytes) -> None:
        self._session = open_session(model)
        self._inputs = self._session.get_inputs()

    def __call__(self, *values: ort.OrtValue) -> list[ort.OrtValue]:
        inputs = {each.name: value for each, value in zip(self._inputs, values, strict=True)}
        return list(self._session.run_with_ort_values(None, inputs))

    def at_rest(self, n_before: int) -> list[ort.OrtValue]:
        """Return the states before anything was said; ``n_before`` inputs are none."""
        shapes = ([size if isinstance(size, int) else 1 for size in each.shape] for each in self._inputs[n_before:])
        types = (_TYPES[each.type] for each in self._inputs[n_before:])
        return [_value(np.zeros(shape, kind)) for shape, kind in zip(shapes, types, strict=True)]


class Pocket:
    """See Engine."""

    name, title = "pocket", "Pocket TTS"
    licence = "CC-BY-4.0"
    languages = frozenset({"en"})
    varies = True
    mixes = False

    def __init__(self, networks: Networks, sampling: Sampling | None = None) -> None:
        self._networks = networks
        self._sampling = sampling or Sampling()
        self._lock = threading.Lock()
        self._loaded: dict[str, _Network] = {}

    @property
    def is_here(self) -> bool:
        """Whether it was fetched, and found to be no worse than what it replaces."""
        models = self._models
        return models is not None and models.is_usable(self.name)

    def can(self, settings: SpeechSettings) -> bool:
        """It speaks as the recording does, neither faster nor higher, nor livelier."""
        return settings.speed == 1.0 and settings.pitch == 0 and settings.pitch_range == 1.0

    def knows(self, profile: Profile) -> bool:
        """Tell whether the recording was read by these very networks."""
        return _restored(profile.others.get(self.name, b""), self._version) is not None

    def learn(self, profile: Profile, reference: Heard, prompt: Heard | None, stop: Stop) -> Profile:
        """Read the best part of the recording, and the prompt clip last: speech goes on as that does."""
        samples = _reference(self._networks, reference, prompt, stop)
        stop.check()
        encoded = self._run("encoder.onnx", _value(samples[None, None]))[0]
        stop.check()
        states = self._run("lm_main.int8.onnx", _EMPTY, encoded, *self._at_rest("lm_main.int8.onnx", 2))[2:]
        kept = _kept([each.numpy() for each in states], encoded.shape()[1], self._version)
        return replace(profile, others={**profile.others, self.name: kept})

    def speak(self, profile: Profile, line: Line, manner: Manner, stop: Stop) -> Iterator[np.ndarray]:
        """Speak a line, each part once it was heard to be right; see Engine.speak."""
        voice = _restored(profile.others[self.name], self._version)
        assert voice is not None, "knows() says so"
        parts = self._parts(written_out(line.text), early=manner.early)
        for i, part in enumerate(parts):
            pause = _silence(CLAUSE_PAUSE_S if i and parts[i - 1][-1] in _CLAUSE_ENDS else 0.0)
            yield np.concatenate([pause, self._best(voice, part, f"{line.text}|{manner.take}|{i}", stop)])

    def _best(self, voice: _Voice, text: str, seed: str, stop: Stop) -> np.ndarray:
        """Return a part as it is heard best; other ways to say it are tried while words of it are missed."""
        best, score, missed_before = np.zeros(0, np.float32), -1.0, None
        for attempt in range(ATTEMPTS):
            frames = list(self._frames(voice, text, _random(f"{seed}|{attempt}"), stop))
            samples = _edged(np.concatenate(frames)) if frames else best
            heard = transcript.compare(text, self._heard(samples, stop))
            if heard.score > score:
                best, score = samples, heard.score
            missed = [word for word, was_heard in heard.words if not was_heard]
            if heard.score >= GOOD or missed == missed_before:  # the same words again: they are hard to recognize
                break
            missed_before = missed
        return best

    def _heard(self, samples: np.ndarray, stop: Stop) -> str:
        stop.check()
        return self._networks.get(Recognizer).transcribe(resample(samples, SAMPLE_RATE, HEARD_RATE), "en")

    def _frames(self, voice: _Voice, text: str, random: np.random.Generator, stop: Stop) -> Iterator[np.ndarray]:
        tokens = self._tokens(text)
        embedded = self._run("text_conditioner.onnx", _value(np.array([tokens], np.int64)))[0]
        states = self._run("lm_main.int8.onnx", _EMPTY, embedded, *map(_value, voice.states))[2:]
        decoding = self._at_rest("decoder.onnx", 1)
        frame, end = _value(np.full((1, 1, LATENT), np.nan, np.float32)), None
        most = min(int((len(tokens) / TOKENS_PER_S + SLACK_S) * FRAMES_PER_S), POSITIONS - voice.n_frames - len(tokens))
        for i in range(most):
            stop.check()
            meant, logit, *states = self._run("lm_main.int8.onnx", frame, _NOTHING, *states)
            if end is None and i >= UNBELIEVED_FRAMES and float(logit.numpy().ravel()[0]) > END_LOGIT:
                end = i
            if end is not None and i >= end + AFTER_END_FRAMES:
                return
            frame = _value(self._drawn(meant, random)[None])
            sound, *decoding = self._run("decoder.onnx", frame, *decoding)
            yield np.asarray(sound.numpy(), np.float32).ravel()

    def _drawn(self, meant: ort.OrtValue, random: np.random.Generator) -> np.ndarray:
        """Return a frame, shape (1, LATENT), drawn from noise in a few steps."""
        n = self._sampling.n_steps
        x = (random.standard_normal((1, LATENT)) * np.sqrt(self._sampling.temperature)).astype(np.float32)
        for step in range(n):
            begin, end = (_value(np.array([[at / n]], np.float32)) for at in (step, step + 1))
            x = x + self._run("lm_flow.int8.onnx", meant, begin, end, _value(x))[0].numpy() / n
        return np.asarray(x, np.float32)

    def _parts(self, text: str, *, early: bool) -> list[str]:
        """Return a sentence in parts that can be spoken at once; what is wanted early begins with a short one."""
        words, parts = _WORDS.findall(text), list[str]()
        sizes = [len(self._pieces("▁" + word.strip())) for word in words]
        while words:
            limit = FIRST_TOKENS if early and len(parts) < 2 else MAX_TOKENS
            n_fit = max(1, int(np.searchsorted(np.cumsum(sizes), limit, side="right")))
            n = _seam(words, n_fit, soon=early and not parts)
            parts.append("".join(words[:n]).strip())
            words, sizes = words[n:], sizes[n:]
        return parts

    def _tokens(self, text: str) -> list[int]:
        return self._pieces(_spaced(text).replace(" ", "▁"))

    def _pieces(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _run(self, name: str, *values: ort.OrtValue) -> list[ort.OrtValue]:
        return self._network(name)(*values)

    def _at_rest(self, name: str, n_before: int) -> list[ort.OrtValue]:
        return self._network(name).at_rest(n_before)

    def _network(self, name: str) -> _Network:
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = _Network(self._read(name))
            return self._loaded[name]

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        places, scores = (json.loads(self._read(name)) for name in ("vocab.json", "token_scores.json"))
        pieces = sorted(places, key=places.__getitem__)
        listed = [(piece, float(scores[piece])) for piece in pieces]
        return Tokenizer(Unigram(listed, unk_id=places["<unk>"], byte_fallback=True))

    def _read(self, name: str) -> bytes:
        assert self._models is not None, "is_here says so"
        return self._models.read(self.name, name)

    @property
    def _models(self) -> Models | None:
        return self._networks.models

    @property
    def _version(self) -> str:
        """Of what was learned: by which networks."""
        files = () if self._models is None else self._models.model(self.name).files
        return f"{_VERSION} {hashlib.sha256(' '.join(file.sha256 for file in files).encode()).hexdigest()}"


@dataclass(frozen=True)
class _Voice:
    """What was read of a recording: the states after it, and how many frames it had."""

    states: list[np.ndarray]
    n_frames: int


def _value(array: np.ndarray) -> ort.OrtValue:
    return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))


_EMPTY = _value(np.zeros((1, 0, LATENT), np.float32))
_NOTHING = _value(np.zeros((1, 0, WIDTH), np.float32))


def _kept(states: list[np.ndarray], n_frames: int, version: str) -> bytes:
    """Return states as one file; what is zero at the ends of their dimensions, which is most of it, is left out."""
    values: dict[str, np.ndarray] = {}
    for i, state in enumerate(states):
        ends = [int(np.flatnonzero(each).max(initial=-1)) + 1 for each in _filled(state)]
        values[f"state_{i}"] = state[tuple(slice(end) for end in ends)]
        values[f"shape_{i}"] = np.array(state.shape, np.int64)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, version=np.array(version), n_frames=np.array(n_frames), **values)
    return file.getvalue()


def _filled(state: np.ndarray) -> list[np.ndarray]:
    """Return for every dimension where it holds anything but zeros."""
    axes = range(state.ndim)
    return [(state != 0).any(axis=tuple(other for other in axes if other != axis)) for axis in axes]


def _restored(kept: bytes, version: str) -> _Voice | None:
    """Read a voice back; None when other networks read it, or when it is damaged or was never read."""
    try:
        with np.load(io.BytesIO(kept), allow_pickle=False) as values:
            if str(values["version"]) != version:
                return None
            states = []
            for i in range(sum(name.startswith("state_") for name in values)):
                part, shape = values[f"state_{i}"], tuple(values[f"shape_{i}"])
                states.append(np.pad(part, [(0, n - m) for n, m in zip(shape, part.shape, strict=True)]))
            return _Voice(states, int(values["n_frames"]))
    except (ValueError, KeyError, OSError, EOFError, BadZipFile):
        return None


def _reference(networks: Networks, reference: Heard, prompt: Heard | None, stop: Stop) -> np.ndarray:
    """Return what is read of a recording: float32, shape (n_samples,), 24 kHz."""
    parts = []
    if prompt is None or len(prompt.samples) < REFERENCE_S[0] * prompt.sample_rate:
        parts.append(_ended(_clean(_excerpt(networks, reference), stop)))
    if prompt is not None:
        parts.append(_ended(_clean(prompt, stop)))
    return np.concatenate(parts)


def _excerpt(networks: Networks, heard: Heard) -> Heard:
    """Return the best part of a recording, cut at pauses."""
    samples, rate = heard.samples, heard.sample_rate
    clipped = quality.clipped_spans(samples, rate)
    best = None
    if heard.spans:
        who = turns.who_speaks(*voices(networks, heard))
        best = segment.best_segment(samples, rate, heard.spans, clipped, who, at_most_s=REFERENCE_S[1])
    start_s, end_s = (best.start_s, best.end_s) if best else _beginning(heard)
    spans = [(max(a, start_s) - start_s, min(b, end_s) - start_s) for a, b in heard.spans if a < end_s and b > start_s]
    return Heard(samples[int(start_s * rate) : int(end_s * rate)], rate, spans)


def _beginning(heard: Heard) -> tuple[float, float]:
    """Return the first speech of a recording, to the last pause within what is read."""
    start_s = heard.spans[0][0] if heard.spans else 0.0
    ends = [end for _, end in heard.spans if REFERENCE_S[0] <= end - start_s <= REFERENCE_S[1]]
    return start_s, ends[-1] if ends else min(len(heard.samples) / heard.sample_rate, start_s + REFERENCE_S[1])


def _clean(heard: Heard, stop: Stop) -> np.ndarray:
    samples, apart_db = heard.samples, quality.snr_db(heard.samples, heard.sample_rate, heard.spans)
    if apart_db is not None and apart_db < NOISY_DB:
        samples = enhance.reduce_noise(samples, heard.sample_rate, stop)
    return resample(samples, heard.sample_rate, SAMPLE_RATE)


def _ended(samples: np.ndarray) -> np.ndarray:
    faded, n = samples.copy(), min(len(samples), int(FADE_S * SAMPLE_RATE))
    faded[len(faded) - n :] *= np.linspace(1.0, 0.0, n, dtype=np.float32)
    return np.concatenate([faded, _silence(ENDS_IN_S)])


def _edged(samples: np.ndarray) -> np.ndarray:
    cut = trimmed(samples).copy()
    n = min(len(cut), int(FADE_IN_S * SAMPLE_RATE))
    cut[:n] *= np.linspace(0.0, 1.0, n, dtype=np.float32)
    return cut


def _spaced(text: str) -> str:
    """Return a text as the network was taught with: a capital first, a mark last, room before a few words."""
    plain = " ".join(text.translate(_QUOTES).split())
    plain = plain[:1].upper() + plain[1:]
    if plain[-1:].isalnum():
        plain += "."
    return (" " * 8 if len(plain.split()) < 5 else " ") + plain


def _seam(words: list[str], n_fit: int, *, soon: bool) -> int:
    """Return how many words to say at once, of those that fit: to the end of a clause, else to a small word.

    Args:
        words: of a sentence, with the spaces after them.
        n_fit: how many fit.
        soon: to the first such place, not to the last.
    """
    if n_fit == len(words) and not soon:
        return n_fit
    clauses = [i for i in range(FIRST_WORDS, n_fit + 1) if words[i - 1].strip()[-1] in _CLAUSE_ENDS]
    if clauses:
        return clauses[0] if soon else clauses[-1]
    if n_fit == len(words):
        return n_fit
    small = [i for i in range(FIRST_WORDS, n_fit + 1) if words[i].strip() in _SMALL]
    return small[-1] if small else n_fit


def _random(seed: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "little"))


def _silence(length_s: float) -> np.ndarray:
    return np.zeros(int(length_s * SAMPLE_RATE), np.float32)
