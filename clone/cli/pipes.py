"""What comes in by standard input or a name, and where sound goes out."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from clone.audio.encoder import Encoder, wav_header
from clone.audio.reader import MAX_INTAKE_BYTES
from clone.audio.tags import Provenance
from clone.cli.arguments import PIPE, WRITABLE
from clone.contract.speech import AudioSetting
from clone.core.errors import TimbreError
from clone.studio.facade import Passage

MAX_TEXT_BYTES = 16_000_000
"""Far more than any text that is spoken, and read so that its length can be told; what never ends, ends here."""

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


def target(given: str) -> Path:
    """Return where to write, refused before any work when nothing could be written there.

    Raises:
        TimbreError: its name ends otherwise than what can be written, its folder is missing, or it is one.
    """
    path = Path(given).expanduser()
    if path.suffix.lower() not in WRITABLE:
        raise TimbreError(f"{given} must end in {', '.join(WRITABLE[:-1])} or {WRITABLE[-1]}.")
    if not path.parent.is_dir():
        raise TimbreError(f"There is no folder {path.parent} to write {path.name} into.")
    if path.is_dir():
        raise TimbreError(f"{given} is a folder, not a file.")
    return path


def standard_output() -> int:
    """Return the file descriptor of standard output, for sound.

    Raises:
        TimbreError: it is a terminal.
    """
    if sys.stdout.isatty():
        raise TimbreError("--out - would print sound to the terminal. Pipe it on, or name a file.")
    return sys.stdout.fileno()


def stream(passages: Iterable[Passage], audio_format: str, fd: int, provenance: Provenance | None = None) -> None:
    """Write passages as they come, past every buffer: each can be heard before the next is spoken.

    What mp3 and flac begin with says where it comes from; a wav that never knew its length has no place for that.

    Raises:
        BrokenPipeError: nobody reads any more.
    """
    encoder: Encoder | None = None
    for passage in passages:
        if encoder is None:
            setting = _setting(audio_format, passage.sample_rate)
            encoder = Encoder(setting, passage.sample_rate, provenance)
            if audio_format == "wav":
                _write(fd, wav_header(setting, None))
        _write(fd, encoder.add(passage.samples))
    if encoder is not None:
        _write(fd, encoder.end())


def _setting(audio_format: str, sample_rate: int) -> AudioSetting:
    return AudioSetting.model_validate({"format": audio_format, "sample_rate": sample_rate})


def _write(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def _piped_recording(folder: Path) -> Path:
    if sys.stdin.isatty():
        raise TimbreError("Standard input is a terminal. Pipe a recording into it, or name a file.")
    path = folder / "recording"
    with path.open("xb") as file:
        _copy(sys.stdin.buffer, file)
    return path


def _copy(source: BinaryIO, to: BinaryIO) -> None:
    """Copy just more than can be read, so that too much is refused for its size."""
    left = MAX_INTAKE_BYTES + 1
    while left > 0 and (block := source.read(min(_BLOCK, left))):
        to.write(block)
        left -= len(block)
