"""What a file does to whoever reads it: nothing, for it is read in a process with limits that can be ended."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clone.audio import reader_process
from clone.audio.reader import read
from clone.core.errors import AudioError, CancelledError
from clone.core.jobs import Stop
from tests import sounds
from tests.running import ROOT

LONG = 100_000
"""Tags that FFmpeg compares with each other for minutes."""


def box(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(data), name) + data


def wav_of_chunks() -> bytes:
    head = b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 24_000, 48_000, 2, 16)
    return head + b"abcd\0\0\0\0" * 1_000_000 + b"data\0\0\0\0"


def ogg_of_pages() -> bytes:
    first = struct.pack("<4sBBqIIIB", b"OggS", 0, 2, 0, 1, 0, 0, 1)
    first += b"\x13" + struct.pack("<8sBBHIhB", b"OpusHead", 1, 1, 0, 48_000, 0, 0)
    pages = (struct.pack("<4sBBqIIIB", b"OggS", 0, 0, 0, 1, n + 1, 0, 0) for n in range(700_000))
    return first + b"".join(pages)


CRAFTED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty elements": (lambda: sounds.webm_of_nothing(20_000_000), "too_many_parts"),
    "nested clusters": (lambda: sounds.webm_of_nothing(20_000_000, b"\x1f\x43\xb6\x75\xff"), "too_many_parts"),
    "chunks": (wav_of_chunks, "too_many_parts"),
    "pages": (ogg_of_pages, "too_many_parts"),
    "boxes": (lambda: box(b"ftyp", b"isom\0\0\0\0") + box(b"free", b"") * 1_000_000, "too_many_parts"),
    "tags of nothing": (lambda: b"ID3\x04\0\0\0\0\0\0" * 1_000_000, "not_audio"),
    "promised samples": (lambda: sounds.m4a_of_promises(1_000_000, 1_000), "too_much_work"),
    "silence in eight channels": (lambda: sounds.flac_of_silence(900, 192_000, 8), "too_many_samples"),
}


@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_file_is_refused_in_words(tmp_path: Path, name: str) -> None:
    made, code = CRAFTED[name]
    path = tmp_path / "crafted"
    path.write_bytes(made())
    with pytest.raises(AudioError) as refused:
        read(path)
    error = refused.value
    assert (error.code, error.field) == (code, "audio")
    assert error.message.endswith(".")
    assert error.advice


def test_a_stop_ends_what_nothing_else_would(tmp_path: Path) -> None:
    path = tmp_path / "tags.mp3"
    path.write_bytes(sounds.tagged_mp3(LONG))
    stop = Stop()
    threading.Timer(1.0, stop.ask).start()
    with pytest.raises(CancelledError):
        read(path, stop=stop)


def test_what_takes_too_long_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tags.mp3"
    path.write_bytes(sounds.tagged_mp3(LONG))
    with pytest.raises(AudioError) as refused:
        read(path)
    assert refused.value.code == "too_much_work"


def test_a_stop_that_comes_late_ends_nobody_elses_reading(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    path.write_bytes(sounds.encode(sounds.tone(2.0), 44_100, "wav"))
    readers, stop = reader_process.Readers(), Stop()
    readers.read(path, (0.0, 10.0), stop)
    (reader,) = readers._ready
    stop.ask()
    assert reader.alive
    readers.read(path, (0.0, 10.0), Stop())
    assert readers._ready == [reader]
    readers.close()
    assert not reader.alive


def test_a_reader_that_dies_takes_one_file_with_it(tmp_path: Path) -> None:
    path = tmp_path / "tags.mp3"
    path.write_bytes(sounds.tagged_mp3(LONG))
    readers = reader_process.Readers()
    threading.Timer(1.0, lambda: os.kill(child_of(os.getpid()), signal.SIGSEGV)).start()
    with pytest.raises(AudioError) as refused:
        readers.read(path, (0.0, 10.0), Stop())
    assert refused.value.code == "damaged"
    path.write_bytes(sounds.encode(sounds.tone(2.0), 44_100, "wav"))
    samples, told = readers.read(path, (0.0, 10.0), Stop())
    assert (len(samples), told["sample_rate"]) == (88_200, 44_100)
    readers.close()


def test_readers_end_with_whoever_asks_them(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    path.write_bytes(sounds.encode(sounds.tone(2.0), 44_100, "wav"))
    program = "import sys; from pathlib import Path; from clone.audio.reader import read; "
    program += "read(Path(sys.argv[1])); print('read', flush=True); input()"
    asking = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert asking.stdout is not None
    assert asking.stdout.readline() == "read\n"
    reader = child_of(asking.pid)
    asking.kill()
    asking.communicate()
    end = time.monotonic() + 20
    while Path(f"/proc/{reader}").exists() and "Z" not in Path(f"/proc/{reader}/stat").read_text().split()[2]:
        assert time.monotonic() < end
        time.sleep(0.05)


def child_of(pid: int) -> int:
    """Return the newest child of a process that reads."""
    children = [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
        if b"clone.audio.reader import serve" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    return max(children)
