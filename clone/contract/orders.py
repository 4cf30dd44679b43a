"""What a studio is asked for, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from clone.contract.cloning import CloneOptions, check_prompt_pair, check_prompt_text
from clone.contract.speech import AS_IT_IS, SpeechSettings
from clone.core.errors import ConsentError, Refused
from clone.core.settings import BACKENDS, LOCAL

LOCAL_OWNER = "local"
"""Whoever runs the app, on the same machine."""


def check_backend(backend: str) -> str:
    """Refuse a backend that there is not.

    Raises:
        Refused: ``unknown_backend``.
    """
    if backend not in BACKENDS:
        raise Refused(
            f"There is no backend named “{backend[:40]}”.",
            code="unknown_backend",
            measured=backend[:40],
            limit=", ".join(BACKENDS),
            advice=f"Choose one of {', '.join(BACKENDS)}.",
        )
    return backend


@dataclass(frozen=True)
class CloneOrder:
    """What is to be cloned, for whom. A recording is a file, or a URL as str.

    ``backend`` is one of BACKENDS; ``api_key`` is for the hosted one, and kept by nobody. ``segment`` is the part to
    clone from, its start and end in seconds: only that is sent and kept; None for all of it. ``language`` is the
    preview's, one of t2a.LANGUAGES' codes; None tells it from the text. The contract has no field for it, so the hosted
    service always tells it itself. ``as_sent`` holds the files themselves to the contract's formats and size, as of a
    program; what a person gives is converted instead. ``voice_id`` is what its owner calls the voice in requests, where
    they choose: unique among theirs.
    """

    owner: str
    audio: Path | str
    options: CloneOptions
    consent: bool
    prompt_audio: Path | str | None = None
    prompt_text: str | None = None
    name: str = ""
    backend: str = LOCAL
    api_key: str | None = field(default=None, repr=False)
    segment: tuple[float, float] | None = None
    language: str | None = None
    as_sent: bool = False
    voice_id: str = ""


def check_asked(order: CloneOrder) -> None:
    """Refuse what can be seen to be wrong without any work.

    Raises:
        Refused: ``unknown_backend``.
        ConsentError: nobody confirmed it.
        PromptError: half a prompt, or a transcript that can't be one.
    """
    check_backend(order.backend)
    if not order.consent:
        raise no_consent()
    if check_prompt_pair(order.prompt_audio is not None, order.prompt_text):
        check_prompt_text(order.prompt_text or "")


def no_consent() -> ConsentError:
    """What is said where nobody confirmed that a recording may be cloned."""
    return ConsentError(
        "Nobody confirmed that the person in the recording agreed to be cloned.",
        code="no_consent",
        field="consent",
        advice="Ask the person, then confirm it.",
    )


Speakers = tuple[tuple[str, str], ...]
"""Names that a line of a dialogue may begin with, each with its voice_id."""


@dataclass(frozen=True)
class SpeakOrder:
    """What a voice is to say; ``api_key`` as in CloneOrder, for a hosted voice.

    A line that begins with the name of one of ``speakers`` and a colon is said by that voice, where the text is kept.
    ``mix`` has the voices of a mix and their weights, where more than one is to speak at once.
    """

    owner: str
    voice_id: str
    text: str
    model: str
    settings: SpeechSettings = AS_IT_IS
    api_key: str | None = field(default=None, repr=False)
    speakers: Speakers = ()
    mix: tuple[tuple[str, float], ...] = ()

    @property
    def voice_ids(self) -> tuple[str, ...]:
        """All that speak."""
        return tuple(dict.fromkeys((self.voice_id, *(voice_id for voice_id, _ in self.mix))))
