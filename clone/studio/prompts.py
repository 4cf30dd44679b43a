"""The prompt clip and its transcript: a sentence cut out of the recording, and whether the two fit each other."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clone.audio import preflight, segment
from clone.audio.quality import clipped_spans
from clone.audio.reader import Recording, read
from clone.audio.segment import EDGE_S
from clone.contract import cloning
from clone.contract.orders import CloneOrder
from clone.core.errors import AudioError, PromptMismatch, TextError
from clone.core.jobs import Stop
from clone.engine.asr import LANGUAGE_S, Word
from clone.engine.backend import Heard, LocalBackend
from clone.engine.transcript import Match, check_match, compare
from clone.studio.analysis import Bounds, Examining, part_at

MAX_KNOWN = 200
"""Clips of which it is remembered what was heard in them; found by what is in the file, not by whose it is."""

BEFORE_S = 10.0
"""Heard of what comes before a sentence: nobody can tell from a piece alone where its sentence began."""

MAX_LISTENED = 8
"""Places of a recording at which a whole sentence is looked for; each takes about two seconds."""

WORD_OFF_S = 0.25
"""As far off as the recogniser may be about when a word ends."""

_FINAL = tuple(".!?。！？।॥")
_AFTER_FINAL = "\"'”’»)]」』"


@dataclass(frozen=True)
class PromptPair:
    """A sentence cut from a recording, float32, shape (n_samples,), mono, and what was heard in it."""

    samples: np.ndarray
    sample_rate: int
    text: str


class Prompts:
    """What is done with prompt clips, for every visitor; thread-safe.

    Args:
        backend: hears words.
        examining: lets a few at a time listen.
    """

    def __init__(self, backend: LocalBackend, examining: Examining) -> None:
        self._backend = backend
        self._examining = examining
        self._known: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def pair(self, audio: Path, bounds: Bounds | None) -> PromptPair:
        """Cut a clean, whole sentence out of a recording and write down what is said in it.

        Args:
            audio: the recording.
            bounds: the part of it that will be cloned; None for all of it.

        Raises:
            As Examining.examine(); AudioError ``no_sentence``.
        """
        with self._examining.place():
            part = part_at(audio, bounds)
            found = self._sentence(self._backend.listen(part.samples, part.sample_rate))
            if found is None:
                raise AudioError(
                    f"No clean, whole sentence of {segment.SENTENCE_S[0]:.0f} to {cloning.PROMPT_LIMIT_S:.0f} s was "
                    "found in the recording.",
                    code="no_sentence",
                    field="prompt_audio",
                    advice="Record one sentence, with a short pause before and after it.",
                )
            bounds, text = found
            cut = segment.cut(part, *bounds)
            return PromptPair(cut.samples, cut.sample_rate, text)

    def _sentence(self, heard: Heard) -> tuple[Bounds, str] | None:
        """Return where a whole sentence is, and what is said in it: the best of the place where there is one."""
        clipped = clipped_spans(heard.samples, heard.sample_rate)
        left = segment.between_pauses(heard.samples, heard.sample_rate, heard.spans, clipped)
        language = self._backend.language(heard) if left else ("", 0.0)
        for _ in range(MAX_LISTENED):
            if not left:
                break
            from_s = max(0.0, left[0][0] - BEFORE_S)
            here = [each for each in left if from_s <= each[0] and each[1] <= from_s + LANGUAGE_S]
            start, end = (int(at_s * heard.sample_rate) for at_s in (from_s, from_s + LANGUAGE_S))
            words = self._backend.words(Heard(heard.samples[start:end], heard.sample_rate, []), language)
            for bounds in here:
                text = whole_sentence(words, (bounds[0] - from_s, bounds[1] - from_s))
                if text:
                    return bounds, text
            left = [each for each in left if each not in here]
        return None

    def match(self, prompt_audio: Path, text: str | None) -> Match:
        """Compare a prompt clip with its transcript; without one, say what is heard in it.

        Args:
            prompt_audio: the clip.
            text: its transcript, if there is one.

        Raises:
            As Examining.examine(), at the field ``prompt_audio``; PromptError: clip or transcript is too long.
        """
        cloning.check_prompt_length(text or "")
        heard = self._heard_before(prompt_audio)
        if heard is None:
            with self._examining.place():
                recording = read(prompt_audio, field="prompt_audio")
                cloning.check_prompt_duration(recording.duration_s)
                heard = self._words(recording)
        return compare(text or heard, heard)

    def transcript(self, audio: Path, language: str | None) -> Transcript:
        """Return what is said in a recording of any length that may be cloned.

        Args:
            audio: the recording.
            language: its ISO 639-1 code or English name; None to tell it from the speech.

        Raises:
            As Examining.examine(); Refused ``language``, no such language is known; AudioError ``too_long``.
        """
        code = self._backend.language_code(language) if language else None
        with self._examining.place():
            recording = read(audio)
            cloning.check_duration(max(recording.duration_s, cloning.REFERENCE_MIN_S))
            heard = self._backend.listen(recording.samples, recording.sample_rate)
            told = (code, 1.0) if code else self._backend.language(heard) if heard.spans else ("en", 1.0)
            texts = [self._backend.transcribe(part, told) for part in _in_parts(heard)]
        return Transcript(" ".join(text for text in texts if text), told[0], recording.duration_s)

    def check_said(self, audio: Path, text: str, accuracy: float) -> None:
        """Refuse a recording that does not say a text; raises as transcript(), and TextError ``not_said``."""
        heard = self.transcript(audio, None).text
        try:
            check_match(text, heard, accuracy)
        except PromptMismatch as e:
            error = TextError(
                f"The file says the text by {e.measured}; at least {accuracy:.2f} is asked for.",
                code="not_said",
                field="text_validation",
                measured=e.measured,
                limit=accuracy,
                advice="Send what is said in it, or another file.",
            )
            error.service_code = 1043
            raise error from None

    def checked(self, order: CloneOrder, path: Path, stop: Stop) -> tuple[Recording, Heard]:
        """Return an order's prompt clip, and where somebody speaks in it, once it and its transcript are good.

        Raises:
            AudioError: it can't be read; PromptError: what refuses it or its transcript.
        """
        recording = read(path, field="prompt_audio", stop=stop)
        if order.as_sent:
            cloning.check_format(recording.format, "prompt_audio")
        cloning.check_prompt_duration(recording.duration_s)
        text = cloning.check_prompt_text(order.prompt_text or "")
        heard = self._backend.listen(recording.samples, recording.sample_rate)
        preflight.check_prompt(recording, text, heard.spans)
        stop.check()
        check_match(text, self._words(recording), order.options.accuracy)
        return recording, heard

    def _words(self, clip: Recording) -> str:
        """Return what is said in a prompt clip, listening to it unless that is known."""
        with self._lock:
            known = self._known.get(clip.sha256)
        if known is None:
            known = _ended(self._backend.transcribe(Heard(clip.samples, clip.sample_rate, [])))
        with self._lock:
            self._known[clip.sha256] = known
            self._known.move_to_end(clip.sha256)
            while len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
        return known

    def check_known(self, prompt_audio: Path, text: str, accuracy: float) -> None:
        """Refuse a transcript that does not match its clip, where it is known what is heard in that; takes no time.

        Raises:
            PromptMismatch: it matches by less than ``accuracy``.
        """
        heard = self._heard_before(prompt_audio)
        if heard is not None:
            check_match(cloning.check_prompt_text(text), heard, accuracy)

    def _heard_before(self, prompt_audio: Path) -> str | None:
        with self._lock:
            if not self._known:
                return None
        try:
            with prompt_audio.open("rb") as file:
                key = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:  # reading it says what is the matter
            return None
        with self._lock:
            return self._known.get(key)


def whole_sentence(words: Sequence[Word], bounds: Bounds) -> str:
    """Return the text of what is said between two moments where that is a whole sentence, or a few; else nothing.

    Args:
        words: what is said there and around it.
        bounds: start and end in pauses, in seconds, as the words are.
    """
    before = [word.text.strip() for word in words if word.end_s <= bounds[0] + EDGE_S / 2]
    inside = [word.text for word in words if bounds[0] + EDGE_S / 2 < word.end_s <= bounds[1] + WORD_OFF_S]
    text = "".join(inside).strip()
    begins = next((c for c in text if c.isalnum()), "a")
    if begins.islower() or not is_final(text) or (before and not is_final(before[-1])):
        return ""
    return text


def is_final(text: str) -> bool:
    """Tell whether a text ends as a sentence does: not with the dots of one that breaks off."""
    bare = text.rstrip().rstrip(_AFTER_FINAL)
    return bare.endswith(_FINAL) and not bare.endswith("..")


def _ended(text: str) -> str:
    text = text.strip()
    return text if not text or cloning.ends_with_punctuation(text) else f"{text.rstrip(',;:–—- ')}."


@dataclass(frozen=True)
class Transcript:
    """What is said in a recording, in which language (its code), and how long it is."""

    text: str
    language: str
    duration_s: float


def _in_parts(heard: Heard) -> Iterator[Heard]:
    """Yield the speech of a recording in parts that the recognizer hears at once, parted at pauses."""
    rate, begin_s, end_s = heard.sample_rate, None, 0.0
    for start_s, stop_s in [*heard.spans, (float("inf"), float("inf"))]:
        if begin_s is not None and stop_s - begin_s > LANGUAGE_S:
            for at_s in np.arange(begin_s, end_s, LANGUAGE_S):  # a span may be longer than that
                until_s = min(at_s + LANGUAGE_S, end_s)
                yield Heard(heard.samples[int(at_s * rate) : int(until_s * rate)], rate, [(0.0, until_s - at_s)])
            begin_s = None
        begin_s, end_s = (start_s if begin_s is None else begin_s), stop_s
