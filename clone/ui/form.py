"""What a visitor filled in or chose among the examples, and what is wrong with it before any work begins."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from clone.contract import cloning
from clone.contract.speech import check_language
from clone.core.errors import AudioError, ConsentError, PromptError, TimbreError
from clone.core.settings import LOCAL
from clone.storage.voice import NAME_MAX_CHARS
from clone.studio.facade import CloneOrder
from clone.ui import strings

EXAMPLES = Path(__file__).parents[2] / "assets" / "examples"


@dataclass(frozen=True)
class Example:
    """One example voice: its file, its name and a few words about it."""

    path: Path
    name: str
    about: str

    @property
    def label(self) -> str:
        """What the choice says."""
        return f"{self.name}: {self.about}" if self.about else self.name


@cache
def examples(folder: Path = EXAMPLES) -> tuple[Example, ...]:
    """Return the examples that ``examples.json`` lists and the folder holds, in its order."""
    listed = folder / "examples.json"
    if not listed.is_file():
        return ()
    entries = json.loads(listed.read_text(encoding="utf-8"))
    found = (Example(folder / str(entry["file"]), str(entry["name"]), str(entry.get("about", ""))) for entry in entries)
    return tuple(example for example in found if example.path.is_file())


def example(name: str | None) -> Example | None:
    """Return the example of a name; None for any other."""
    return next((each for each in examples() if each.name == name), None)


@dataclass(frozen=True)
class Given:
    """The recording, by whichever way it was given: only the way that is chosen counts."""

    source: str
    recorded: str | None
    uploaded: str | None
    link: str | None
    example: str | None

    def audio(self) -> Path | str | None:
        """Return the file or the URL to clone from; None when there is none yet."""
        if self.source == strings.LINK:
            return (self.link or "").strip() or None
        if self.source == strings.EXAMPLE:
            chosen = example(self.example)
            return chosen.path if chosen else None
        path = self.recorded if self.source == strings.RECORD else self.uploaded
        return Path(path) if path else None

    def check(self) -> Path | str:
        """Return the recording.

        Raises:
            AudioError: ``no_recording``, or ``recording_gone`` when the file was removed meanwhile.
        """
        audio = self.audio()
        if audio is None:
            message, advice = strings.NO_RECORDING.get(self.source, strings.NO_RECORDING[strings.UPLOAD])
            raise AudioError(message, code="no_recording", field="audio", advice=advice)
        return _still_there(audio)

    def name(self) -> str:
        """Return what to call the voice."""
        audio = self.audio()
        if self.source == strings.EXAMPLE:
            return self.example or strings.UNNAMED
        if self.source == strings.RECORD or audio is None:
            return strings.RECORDING
        if isinstance(audio, str):
            place = urlsplit(audio)
            audio = Path(unquote(place.path).rpartition("/")[2] or place.netloc)
        return " ".join(audio.stem.replace("_", " ").split())[:NAME_MAX_CHARS] or strings.UNNAMED


@dataclass(frozen=True)
class Form:
    """Everything filled in; the order of fields is the order of the page's inputs."""

    source: str
    recorded: str | None
    uploaded: str | None
    link: str | None
    example: str | None
    prompt_audio: str | None
    prompt_text: str | None
    text: str | None
    model: str | None
    accuracy: float
    noise: bool
    volume: bool
    consent: bool
    backend: str = LOCAL
    api_key: str | None = field(default=None, repr=False)
    part: bool = False
    part_start_s: float | None = 0.0
    part_length_s: float | None = 0.0
    language: str | None = None
    called: str | None = None
    """What the voice is to be called; as the recording is, where nothing is entered."""

    @property
    def given(self) -> Given:
        """The recording."""
        return Given(*(getattr(self, each.name) for each in fields(Given)))

    @property
    def preview(self) -> str | None:
        """What is to be spoken at once; None to clone without a preview."""
        return self.text if self.text and self.text.strip() else None

    def faults(self) -> list[TimbreError]:
        """Return everything that can be seen to be wrong at once, in the order of the page."""
        checks = (
            self.given.check,
            lambda: part(self.part, self.part_start_s, self.part_length_s),
            self._check_prompt,
            self._check_preview,
            lambda: check_language(self.language),
            self._check_consent,
        )
        return [fault for check in checks if (fault := _fault(check)) is not None]

    def order(self, owner: str, recording: Path | str) -> CloneOrder:
        """Return the order to clone a recording.

        Raises:
            Refused: by the contract.
        """
        options = cloning.parse(
            cloning.CloneOptions,
            {
                "text": self.preview,
                "model": self.model if self.preview else None,
                "accuracy": float(self.accuracy),
                "need_noise_reduction": bool(self.noise),
                "need_volume_normalization": bool(self.volume),
            },
        )
        return CloneOrder(
            owner=owner,
            audio=recording,
            options=options,
            consent=self.consent is True,
            prompt_audio=Path(self.prompt_audio) if self.prompt_audio else None,
            prompt_text=(self.prompt_text or "").strip() or None,
            name=" ".join((self.called or "").split())[:NAME_MAX_CHARS] or self.given.name(),
            backend=self.backend,
            api_key=(self.api_key or "").strip() or None,
            segment=part(self.part, self.part_start_s, self.part_length_s),
            language=check_language(self.language),
        )

    def _check_prompt(self) -> None:
        if cloning.check_prompt_pair(bool(self.prompt_audio), self.prompt_text):
            cloning.check_prompt_text(self.prompt_text or "")
            _still_there(Path(self.prompt_audio or ""), PromptError, "prompt_audio")

    def _check_preview(self) -> None:
        if self.preview:
            cloning.check_text(self.preview)
            cloning.check_model(self.model or "")

    def _check_consent(self) -> None:
        if self.consent is not True:
            raise ConsentError(strings.NO_CONSENT, code="no_consent", field="consent", advice=strings.NO_CONSENT_ADVICE)


def part(chosen: bool, start_s: float | None, length_s: float | None) -> tuple[float, float] | None:
    """Return start and end of the part to clone from, in seconds; None for all of the recording.

    Raises:
        AudioError: ``bad_stretch``: start or length is missing, or no number that can be one.
    """
    if not chosen:
        return None
    numbers = [each for each in (start_s, length_s) if isinstance(each, int | float) and math.isfinite(each)]
    if len(numbers) < 2:
        raise AudioError(strings.NO_PART[0], code="bad_stretch", field="audio", advice=strings.NO_PART[1])
    return numbers[0], numbers[0] + numbers[1]


def _still_there(audio: Path | str, error: type[TimbreError] = AudioError, field: str = "audio") -> Path | str:
    if isinstance(audio, Path) and not audio.is_file():
        raise error(strings.RECORDING_GONE, code="recording_gone", field=field, advice=strings.RECORDING_GONE_ADVICE)
    return audio


def _fault(check: object) -> TimbreError | None:
    try:
        check()  # type: ignore[operator]
    except TimbreError as error:
        return error
    return None
