"""What a person at a terminal sees: the bar of what is going on, questions, tables, one line for an error."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from types import TracebackType

from clone.core.errors import TimbreError

BAR_COLUMNS = 20
FALLBACK_COLUMNS = 80
_CLEAR = "\r\x1b[K"


class Progress:
    """A line on stderr: the stage, a bar, steps done, time gone by. Nothing where stderr is no terminal."""

    def __init__(self) -> None:
        self._shows = sys.stderr is not None and sys.stderr.isatty()
        self._began = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._write("")

    def show(self, stage: str, done: int = 0, total: int = 0) -> None:
        """Replace the line; without a total there is no bar."""
        if self._shows:
            blocks = "█░" if (sys.stderr.encoding or "").lower().startswith("utf") else "#-"
            self._write(bar(stage, (done, total), time.monotonic() - self._began, _columns(), blocks))

    def _write(self, line: str) -> None:
        if self._shows:
            print(f"{_CLEAR}{line}", end="", file=sys.stderr, flush=True)


def bar(stage: str, steps: tuple[int, int], elapsed_s: float, columns: int, blocks: str) -> str:
    """Return the line of progress.

    Args:
        stage: what is going on.
        steps: how many are done, of how many; (0, 0) when nobody knows.
        elapsed_s: since the beginning, in seconds.
        columns: of the terminal; the bar gives way first, then the stage's end.
        blocks: the characters for done and for to do.
    """
    done, total = steps
    clock = f"{int(elapsed_s) // 60}:{int(elapsed_s) % 60:02d}"
    count = f"{done}/{total}  {clock}" if total else clock
    full = BAR_COLUMNS * done // total if total else 0
    drawn = f"{blocks[0] * full}{blocks[1] * (BAR_COLUMNS - full)}  " if total else ""
    if len(stage) + len(drawn) + len(count) + 3 > columns:
        drawn = ""
    room = max(columns - len(count) - 3, 0)  # the last column stays free, or some terminals go to the next line
    return f"{stage[:room]}  {drawn}{count}"


def confirm(question: str) -> bool:
    """Ask at the terminal, on stderr; whatever is no yes is a no."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def someone_is_there() -> bool:
    """Whether a question would be read and could be answered."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def sure(question: str, yes: bool) -> bool:
    """Whether to go on: somebody said so ahead, or says so now.

    Raises:
        TimbreError: asked now, and said no.
    """
    if yes or not someone_is_there():
        return yes
    if not confirm(question):
        raise TimbreError("Nothing was done.", code="not_confirmed")
    return True


def print_json(answer: object) -> None:
    """Print what a program can read."""
    print(json.dumps(answer, ensure_ascii=False, indent=2))


def print_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def fail(message: str, status: int) -> int:
    """Print a message as one line on stderr; return the status."""
    print(" ".join(message.split()), file=sys.stderr)
    return status


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or FALLBACK_COLUMNS
    except OSError:
        return FALLBACK_COLUMNS
