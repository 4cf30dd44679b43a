"""An audiobook as one file: AAC in MP4 (.m4b), with chapters, written piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

from clone.audio.tags import Provenance

if TYPE_CHECKING:
    from av.container.core import Chapter as AvChapter

BIT_RATE = 64_000
"""Of mono speech at 24 kHz, at which nobody tells AAC from what it was made of."""
_MS = Fraction(1, 1000)


@dataclass(frozen=True)
class ChapterMark:
    """What a part is called, and when it begins, in seconds."""

    title: str
    begins_s: float


class AudiobookWriter:
    """Writes an m4b; ``end`` finishes it.

    Args:
        path: of the file.
        sample_rate: Hz, of all that comes.
        provenance: said in its tags.
        title: of the book.
        chapters: in order; all of them are known before.
        duration_s: of all of it.
    """

    def __init__(
        self,
        path: Path,
        sample_rate: int,
        provenance: Provenance,
        *,
        title: str,
        chapters: Sequence[ChapterMark],
        duration_s: float,
    ) -> None:
        path.touch(0o600)
        self._rate = sample_rate
        self._n_samples = 0
        self._file = av.open(str(path), "w", format="ipod")
        tags = provenance.tags()
        said = {"title": title, "album": title, "genre": "Audiobook", "synopsis": tags["digital_source_type"]}
        self._file.metadata.update({name: tags[name] for name in ("artist", "comment", "date")} | said)
        self._stream = self._file.add_stream("aac", rate=sample_rate, layout="mono")
        self._stream.bit_rate = BIT_RATE
        ends_s = [*(each.begins_s for each in chapters[1:]), duration_s]
        parts = enumerate(zip(chapters, ends_s, strict=True))
        self._file.set_chapters([_chapter(i, each, end_s) for i, (each, end_s) in parts])

    def add(self, samples: np.ndarray) -> None:
        """Write a piece: float32, shape (n_samples,), mono, within [-1, 1]."""
        if not len(samples):
            return
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[np.newaxis], np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts = self._rate, self._n_samples
        self._n_samples += len(samples)
        self._file.mux(self._stream.encode(frame))

    def end(self) -> float:
        """Finish the file; return its length in seconds."""
        self._file.mux(self._stream.encode(None))
        self._file.close()
        return self._n_samples / self._rate


def _chapter(number: int, chapter: ChapterMark, ends_s: float) -> AvChapter:
    start, end = round(chapter.begins_s * 1000), round(ends_s * 1000)
    return {"id": number, "start": start, "end": end, "time_base": _MS, "metadata": {"title": chapter.title}}
