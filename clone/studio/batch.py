"""A table of texts spoken into one zip: row by row, on after one that fails, with a report of all."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import ZipFile

from clone.audio.encoder import FileWriter
from clone.contract import cloning
from clone.contract.orders import SpeakOrder
from clone.contract.speech import AS_IT_IS, SpeechSettings
from clone.core.errors import CancelledError, DiskFull, Refused, StoppingError, TimbreError, VoiceError
from clone.core.jobs import Stage, Waiting
from clone.core.workspace import Workspace
from clone.storage.voice import Voice
from clone.storage.voices import Library
from clone.studio.archives import check_size, safe_name
from clone.studio.exporting import SOUNDS
from clone.studio.results import Passage, provenance_of
from clone.studio.synthesis import Synthesis
from clone.studio.texts import decoded

log = logging.getLogger(__name__)

TABLE_MAX_BYTES = 2_000_000
MAX_ROWS = 500
MAX_CHARS = 200_000
"""Of all texts together: three and a half hours of speech."""
REPORT = "report.csv"
WHAT = "The table"
_COLUMNS = ("text", "voice", "file")
_REPORTED = ("row", "file", "voice", "text", "status", "seconds", "reason")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_FILE_MAX_CHARS = 60


@dataclass(frozen=True)
class BatchOrder:
    """What is to be spoken, and how.

    Attributes:
        owner: whose voices speak.
        table: a CSV with the columns ``text``, ``voice`` (a voice_id or a name) and ``file``; the latter two may lack.
        model: one of the contract's.
        settings: how.
        voice: who speaks where the table does not say; a voice_id or a name.
        kind: of files whose names say none, one of .mp3, .wav and .flac.
    """

    owner: str
    table: Path
    model: str
    settings: SpeechSettings = AS_IT_IS
    voice: str = ""
    kind: str = ".mp3"


@dataclass(frozen=True)
class Row:
    """A row of the table, and what came of it: ``reason`` says why it failed, "" where it did not."""

    number: int
    text: str
    voice: str
    file: str
    duration_s: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class BatchDone:
    """The end of a batch: every row that was come to."""

    rows: tuple[Row, ...]

    @property
    def n_failed(self) -> int:
        """How many rows have no sound."""
        return sum(bool(row.reason) for row in self.rows)


class Batch:
    """Speaks tables; thread-safe.

    Args:
        library: has the voices.
        synthesis: speaks.
        workspace: lends folders.
    """

    def __init__(self, library: Library, synthesis: Synthesis, workspace: Workspace) -> None:
        self._library = library
        self._synthesis = synthesis
        self._workspace = workspace

    def run(self, order: BatchOrder, out: Path) -> Generator[Stage | Waiting | Row | BatchDone, None, None]:
        """Speak every row of a table into a zip, with a report in it.

        Closing this ends it; what was spoken is in the zip then, and so is the report.

        Args:
            order: what, and how.
            out: where the zip goes.

        Yields:
            What is going on, each Row as it is done, and last the BatchDone.

        Raises:
            Refused: what is wrong with the table as a whole, or the model.
        """
        cloning.check_model(order.model)
        rows, done = read_table(order), list[Row]()
        with self._workspace.folder() as folder, ZipFile(out, "w") as archive:
            try:
                for i, row in enumerate(rows):
                    stage = Stage(f"Speaking row {i + 1} of {len(rows)}", i, len(rows), even=True)
                    path = folder / row.file
                    for event in self._row(order, row, path):
                        yield event if isinstance(event, Waiting) else stage
                        if isinstance(event, Row):
                            row = event
                    if not row.reason:
                        archive.write(path, row.file)
                    path.unlink(missing_ok=True)
                    done.append(row)
                    yield row
            finally:
                archive.writestr(REPORT, _report(done))
        yield BatchDone(tuple(done))

    def _row(self, order: BatchOrder, row: Row, path: Path) -> Iterator[object]:
        """Yield what is going on while a row is spoken into a file, and last the row with what came of it."""
        try:
            voice = _meant(row.voice, self._library.voices(order.owner))
            asked = SpeakOrder(order.owner, voice.voice_id, row.text, order.model, order.settings)
            engine = self._synthesis.engine(asked)
            writer = FileWriter(path, provenance_of(voice, order.model, engine))
            with closing(self._synthesis.speak_long(asked, in_turns=True)) as events:
                for event in events:
                    if isinstance(event, Passage):
                        writer.add(event.samples, event.sample_rate)
                    yield event
            yield replace(row, duration_s=writer.end())
        except (CancelledError, StoppingError, DiskFull):
            raise
        except TimbreError as e:
            yield replace(row, reason=str(e))
        except Exception as e:  # one row must not take the others with it
            log.exception("A row of a table could not be spoken")
            yield replace(row, reason=f"Something unexpected went wrong ({type(e).__name__}).")


def read_table(order: BatchOrder) -> list[Row]:
    """Return the rows of a table, each with a name for its file that is its own.

    Raises:
        Refused: ``no_file``; ``file_too_big`` (bytes); ``bad_encoding``; ``bad_table``, it is none, or lacks a column;
            ``too_many_rows``; ``text_too_long`` (characters), all texts together; ``export_kind``.
    """
    if order.kind not in SOUNDS:
        raise _bad(f"“{order.kind[:20]}” is no kind of file for speech.", f"Choose one of {', '.join(SOUNDS)}.")
    check_size(order.table, WHAT, TABLE_MAX_BYTES)
    text = decoded(order.table.read_bytes(), WHAT)
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        found = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as e:
        raise _bad(f"The table is no CSV: {e}.", "Save it as CSV in UTF-8.") from None
    header = [each.strip().casefold() for each in found[0]] if found else []
    if "text" not in header or ("voice" not in header and not order.voice):
        raise _bad("The table's first row must name the columns: text, voice, file.", "Add it, or choose a voice.")
    filled = [(i, row) for i, row in enumerate(found[1:], 2) if any(cell.strip() for cell in row)]
    _check_bounds([row for _, row in filled], header.index("text"))
    rows, taken = [], set[str]()
    for number, cells in filled:
        said, voice, file = (_cell(cells, header, column) for column in _COLUMNS)
        name = _own_name(file or said[:_FILE_MAX_CHARS], order.kind, taken)
        rows.append(Row(number, said, voice or order.voice, name))
    return rows


def _check_bounds(rows: Sequence[Sequence[str]], at: int) -> None:
    n_chars = sum(len(row[at]) for row in rows if at < len(row))
    for measured, limit, code, what in (
        (len(rows), MAX_ROWS, "too_many_rows", "rows"),
        (n_chars, MAX_CHARS, "text_too_long", "characters of text"),
    ):
        if measured > limit:
            raise Refused(
                f"The table has {measured:,} {what}; at most {limit:,} are spoken at once.",
                code=code,
                field="file",
                measured=measured,
                limit=limit,
                advice="Split it.",
            )
    if not rows:
        raise _bad("There is no row in the table.", "Write a text into each.")


def _bad(message: str, advice: str) -> Refused:
    return Refused(message, code="bad_table", field="file", advice=advice)


def _cell(cells: Sequence[str], header: Sequence[str], column: str) -> str:
    at = header.index(column) if column in header else len(cells)
    return cells[at].strip() if at < len(cells) else ""


def _own_name(words: str, kind: str, taken: set[str]) -> str:
    stem, _, suffix = words.rpartition(".")
    asked = f".{suffix.lower()}"
    stem, kind = (stem, asked) if stem and asked in SOUNDS else (words, kind)
    name = safe_name(stem, "row")
    for number in range(1, len(taken) + 2):
        own = f"{name}{f' ({number})' if number > 1 else ''}{kind}"
        if own.casefold() not in taken:
            taken.add(own.casefold())
            return own
    raise AssertionError("one of so many is free")


def _meant(given: str, voices: Sequence[Voice]) -> Voice:
    """Return the voice of an id or a name.

    Raises:
        VoiceError: ``unknown_voice``; ``ambiguous_voice``.
    """
    by_name = [each for each in voices if each.name and each.name.casefold() == given.casefold()]
    found = [each for each in voices if each.voice_id == given] or by_name
    if len(found) == 1:
        return found[0]
    raise VoiceError(
        f"No voice of yours is “{given[:40]}”." if not found else f"{len(found)} voices are called “{given[:40]}”.",
        code="ambiguous_voice" if found else "unknown_voice",
        field="voice_id",
        advice="Give its voice_id.",
    )


def _report(rows: Sequence[Row]) -> str:
    """Return the report as CSV, in which no cell is a formula to who opens it."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(_REPORTED)
    for row in rows:
        file, status = ("", "failed") if row.reason else (row.file, "spoken")
        cells = (row.number, file, row.voice, row.text, status, f"{row.duration_s:.2f}", row.reason)
        writer.writerow([f"'{cell}" if str(cell).startswith(_FORMULA) else cell for cell in cells])
    return out.getvalue()
