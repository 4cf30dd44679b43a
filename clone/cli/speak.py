"""``speak``: a text of any length, to a file, or to standard output while it is being spoken."""

from __future__ import annotations

import argparse
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from clone.audio.tags import Provenance
from clone.cli import pipes
from clone.cli.arguments import PIPE, PIPED_FORMATS
from clone.cli.owner import voice_id
from clone.cli.progress import told
from clone.cli.terminal import Progress
from clone.contract.speech import SpeechSettings, check_language, check_settings
from clone.core.errors import TimbreError
from clone.core.settings import LOCAL, NOVITA
from clone.studio.facade import Passage, SpeakOrder, Spoken, Stage, Studio, Voice, Waiting


def speak(studio: Studio, arguments: argparse.Namespace, owner: str) -> tuple[Voice, Path] | None:
    """Say a text; return the voice and the file, None when it all went to standard output.

    Raises:
        TimbreError: what refuses or fails.
        BrokenPipeError: standard output is read by nobody any more.
    """
    piped = arguments.out == PIPE
    if piped and arguments.json:
        raise TimbreError("--json and --out - both need standard output. Leave one of them out.")
    fd = pipes.standard_output() if piped else None
    out = None if piped else _file(arguments)
    order = _order(studio, arguments, owner)
    with Progress() as progress, closing(_passages(studio, order, progress)) as passages:
        if fd is not None:
            provenance = Provenance(order.voice_id, order.model, backend=_backend(studio, order))
            pipes.stream(passages, arguments.format or PIPED_FORMATS[0], fd, provenance)
            return None
        spoken = list(passages)
    assert out is not None, "either a file or standard output"
    voice = next(voice for voice in studio.voices(owner) if voice.voice_id == order.voice_id)
    samples = np.concatenate([passage.samples for passage in spoken])
    studio.write_speech(Spoken(voice, samples, spoken[0].sample_rate, order.model), out)
    return voice, out


def _file(arguments: argparse.Namespace) -> Path:
    path = pipes.target(arguments.out)
    if arguments.format not in (None, path.suffix.lower()[1:]):
        raise TimbreError(f"--format is {arguments.format}, and {arguments.out} is not. Leave --format out.")
    return path


def _order(studio: Studio, arguments: argparse.Namespace, owner: str) -> SpeakOrder:
    settings = check_settings(SpeechSettings(arguments.speed, arguments.volume, arguments.pitch))
    settings = replace(settings, language=check_language(arguments.language))
    chosen = voice_id(arguments.voice, studio.voices(owner))
    return SpeakOrder(owner, chosen, pipes.text(arguments.text), arguments.model, settings)


def _backend(studio: Studio, order: SpeakOrder) -> str:
    """Return where a voice lives; one that there is not is refused by who is asked to speak with it."""
    voices = studio.voices(order.owner)
    return next((voice.backend for voice in voices if voice.voice_id == order.voice_id), LOCAL)


def _passages(studio: Studio, order: SpeakOrder, progress: Progress) -> Generator[Passage, None, None]:
    """Yield what is spoken; in turns, so that no more than a few sentences wait for whoever hears them slowly."""
    hosted = _backend(studio, order) == NOVITA
    events: Iterator[Stage | Waiting | Passage | Spoken]
    events = studio.speak(order) if hosted else studio.recite(order, in_turns=True)
    with closing(cast(Generator[object, None, None], events)):
        for event in told(events, progress):
            if isinstance(event, Passage):
                yield event
            elif isinstance(event, Spoken):
                yield Passage(event.samples, event.sample_rate)
