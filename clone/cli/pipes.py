"""What comes in by standard input or a name, and where sound goes out: to a file, or as it is spoken."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import numpy as np

from clone.audio.encoder import Encoder
from clone.audio.reader import MAX_INTAKE_BYTES, read
from clone.audio.writer import Provenance
from clone.cli.terminal import PIPE, progress, showing
from clone.core.errors import TimbreError
from clone.core.settings import LOCAL, NOVITA
from clone.studio.facade import Passage, SpeakOrder, Spoken, Studio, Voice
from clone.studio.synthesis import encoded

WRITABLE = (".mp3", ".wav", ".flac")
MAX_TEXT_BYTES = 16_000_000
"""Far more than any text that is spoken, and read so that its length can be shown; what never ends, ends here."""

_BLOCK = 1 << 16


def recording(given: str, folder: Path) -> Path | str:
    """Return the recording that a word stands for: a URL as it is, a file, or standard input as a file in a folder.

    Raises:
        TimbreError: there is no such file, or nothing is piped in.
    """
    if given.startswith(("http://", "https://")):
        return given
    if given == PIPE:
        return _piped_recording(folder)
    path = Path(given).expanduser()
    if not path.is_file():
        raise TimbreError(f"There is no file {given}.")
    return path


def text(given: str | None) -> str:
    """Return the text to speak: as given, or what is piped in for ``-`` or for nothing.

    Raises:
        TimbreError: nothing is given or piped in, or it is no text.
    """
    if given not in (None, PIPE):
        return str(given)
    if given is None and sys.stdin.isatty():
        raise TimbreError("There is no text. Give it after the voice, or pipe it in.", code="missing", field="text")
    data = sys.stdin.buffer.read(MAX_TEXT_BYTES + 1)
    if len(data) > MAX_TEXT_BYTES:
        raise TimbreError(f"Standard input has more than {MAX_TEXT_BYTES / 1e6:.0f} MB of text. Pipe in less.")
    try:
        return data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as e:
        raise TimbreError(f"Standard input is not UTF-8 text, from byte {e.start:,} on. Save it as UTF-8.") from None


def target(given: str, audio_format: str | None = None) -> Path:
    """Return where to write, refused before any work when nothing could be written there.

    Raises:
        TimbreError: its name ends otherwise than what can be written or is asked for, or its folder is missing.
    """
    path = Path(given).expanduser()
    if path.suffix.lower() not in WRITABLE:
        raise TimbreError(f"{given} must end in {', '.join(WRITABLE[:-1])} or {WRITABLE[-1]}.")
    if not path.parent.is_dir():
        raise TimbreError(f"There is no folder {path.parent} to write {path.name} into.")
    if path.is_dir():
        raise TimbreError(f"{given} is a folder, not a file.")
    if audio_format not in (None, path.suffix.lower()[1:]):
        raise TimbreError(f"--format is {audio_format}, and {given} is not. Leave --format out.")
    return path


def write_preview(studio: Studio, voice: Voice, out: Path) -> None:
    """Write what a voice said when it was cloned."""
    kept = studio.audio(voice.voice_id, voice.owner, "preview")
    if kept.suffix == out.suffix.lower():
        shutil.copyfile(kept, out)
        return
    preview = read(kept)
    studio.write_speech(Spoken(voice, preview.samples, preview.sample_rate), out)


def standard_output() -> int:
    """Return the file descriptor of standard output, for sound.

    Raises:
        TimbreError: it is a terminal.
    """
    if sys.stdout.isatty():
        raise TimbreError("--out - would print sound to the terminal. Pipe it on, or name a file.")
    return sys.stdout.fileno()


def stream(
    passages: Generator[Passage, None, None], audio_format: str, fd: int, provenance: Provenance | None = None
) -> None:
    """Write passages as they come, past every buffer: each can be heard before the next is spoken.

    What mp3 and flac begin with says where it comes from; a wav that never knew its length has no place for that.

    Raises:
        BrokenPipeError: nobody reads any more.
    """
    for data in encoded(passages, Encoder(audio_format, provenance, open_ended=True)):
        _write(fd, cast(bytes, data))


def to_file(studio: Studio, order: SpeakOrder, out: Path) -> Spoken:
    """Say a text into a file; return what was said, its voice permanent by it."""
    with closing(_passages(studio, order)) as passages:
        spoken = list(passages)
    voice = next(voice for voice in studio.voices(order.owner) if voice.voice_id == order.voice_id)
    samples = np.concatenate([passage.samples for passage in spoken])
    said = Spoken(voice, samples, spoken[0].sample_rate, order.model, studio.provenance(order).engine)
    studio.write_speech(said, out)
    return said


def to_pipe(studio: Studio, order: SpeakOrder, fd: int, audio_format: str) -> None:
    """Say a text into a file descriptor, each sentence as soon as it is spoken.

    Raises:
        BrokenPipeError: nobody reads any more.
    """
    provenance = studio.provenance(order)
    with closing(_passages(studio, order)) as passages:
        stream(passages, audio_format, fd, provenance)


def _backend(studio: Studio, order: SpeakOrder) -> str:
    """Return where a voice lives; one that there is not is refused by who is asked to speak with it."""
    voices = studio.voices(order.owner)
    return next((voice.backend for voice in voices if voice.voice_id == order.voice_id), LOCAL)


def _passages(studio: Studio, order: SpeakOrder) -> Generator[Passage, None, None]:
    """Yield what is spoken; in turns, so that no more than a few sentences wait for whoever hears them slowly."""
    hosted = _backend(studio, order) == NOVITA
    events: Iterator[object] = studio.speak(order) if hosted else studio.speak_long(order, in_turns=True)
    with progress() as show, closing(cast(Generator[object, None, None], events)):
        for event in showing(events, show):
            if isinstance(event, Passage):
                yield event
            elif isinstance(event, Spoken):
                yield Passage(event.samples, event.sample_rate)


def _write(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def _piped_recording(folder: Path) -> Path:
    if sys.stdin.isatty():
        raise TimbreError("Standard input is a terminal. Pipe a recording into it, or name a file.")
    path = folder / "recording"
    left = MAX_INTAKE_BYTES + 1  # just more than can be read, so that too much is refused for its size
    with path.open("xb") as file:
        while left > 0 and (block := sys.stdin.buffer.read(min(_BLOCK, left))):
            file.write(block)
            left -= len(block)
    return path
