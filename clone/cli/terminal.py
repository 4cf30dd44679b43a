"""What a command opens, what a person at a terminal sees and is asked, and whom a word of theirs means."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

from clone.contract.orders import LOCAL_OWNER
from clone.core.errors import TimbreError
from clone.core.jobs import Stage, Waiting
from clone.core.settings import Settings

if TYPE_CHECKING:
    from clone.storage.voice import Voice
    from clone.studio.facade import Studio

PIPE = "-"
BAR_COLUMNS = 20
SHOWN = 5
_OWNER = re.compile(r"(key|visitor)-[0-9a-f]{40}|" + LOCAL_OWNER)
Result = TypeVar("Result")
Show = Callable[[Stage], None]


def interrupts_are_raised() -> None:
    """Until all is imported, an interrupt just leaves; see __main__."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


@contextmanager
def opened() -> Iterator[Studio]:
    """Open the studio; an interrupt of it says what is still waited for."""
    from clone.studio.facade import Studio

    interrupts_are_raised()
    with closing(Studio(Settings.from_environment())) as studio:
        studio.start(warm=False)  # retention holds for who only ever uses the command line, too
        try:
            yield studio
        except KeyboardInterrupt:
            if studio.awaits_paid_answer:
                print("Waiting for the answer to what is paid for; interrupt again to leave now.", file=sys.stderr)
            raise


# what is going on


@contextmanager
def progress() -> Iterator[Show]:
    """Give what shows a stage on stderr, with a bar and the time gone by; nothing where that is no terminal."""
    if not _is_terminal(sys.stderr):
        yield lambda stage: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    name, steps = (TextColumn(f"{{task.{each}}}", markup=False) for each in ("description", "fields[steps]"))
    columns = (name, BarColumn(BAR_COLUMNS), steps, TimeElapsedColumn())
    console = Console(stderr=True)
    # Standard output may be a pipe full of sound: both streams are left as they are.
    kept: dict[str, Any] = {"redirect_stdout": False, "redirect_stderr": False, "disable": console.is_dumb_terminal}
    with Progress(*columns, console=console, transient=True, **kept) as shown:
        task = shown.add_task("", total=None, visible=False, steps="")

        def show(stage: Stage) -> None:
            total, steps = (stage.total, f"{stage.done}/{stage.total}") if stage.total else (None, "")
            shown.update(task, description=stage.name, completed=stage.done, total=total, visible=True, steps=steps)
            shown.refresh()

        yield show


def showing(events: Iterable[object], show: Show) -> Iterator[object]:
    """Show the stages while they run; yield everything else."""
    for event in events:
        if isinstance(event, Stage):
            show(event)
        elif isinstance(event, Waiting):
            show(Stage(f"Waiting at place {event.position}", 0, 0))
        else:
            yield event


def result(events: Iterator[object], kind: type[Result]) -> Result:
    """Show the stages while they run and return the result, which comes last."""
    with progress() as show, closing(cast(Generator[object, None, None], events)):
        for event in showing(events, show):
            if isinstance(event, kind):
                return event
    raise TimbreError("The work ended without a result.")


# questions and answers


def interactive() -> bool:
    """Whether a question would be read and could be answered."""
    return _is_terminal(sys.stdin) and _is_terminal(sys.stderr)


def sure(question: str, yes: bool) -> bool:
    """Whether to go on: somebody said so ahead, or says so now; whatever is no yes is a no.

    Raises:
        TimbreError: asked now, and said no.
    """
    if yes or not interactive():
        return yes
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise TimbreError("Nothing was done.", code="not_confirmed")
    return True


def print_json(answer: object) -> None:
    """Print what a program can read."""
    print(json.dumps(answer, ensure_ascii=False, indent=2))


def print_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows in columns, however wide: what reads a pipe finds each on one line."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def fail(error: TimbreError | str, status: int, *, as_json: bool = False) -> int:
    """Print what went wrong as one line on stderr, as JSON for a program; return the status."""
    if as_json and isinstance(error, TimbreError):
        told = {name: getattr(error, name) for name in ("code", "message", "field", "measured", "limit", "advice")}
        print(json.dumps({"error": told | {"status": status}}, ensure_ascii=False), file=sys.stderr)
    else:
        print(" ".join(str(error).split()), file=sys.stderr)
    return status


def shortened(names: Sequence[str], shown: int = SHOWN) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def called(voice: Voice) -> str:
    """Return a voice_id, with the voice's name where it has one."""
    return f"{voice.voice_id} ({voice.name})" if voice.name else voice.voice_id


def _is_terminal(stream: Any) -> bool:
    return stream is not None and bool(stream.isatty())


# who is meant


def voice_id(given: str, voices: Sequence[Voice]) -> str:
    """Return the voice_id that is meant: by itself, a name, or its first characters.

    As given where no voice is found, so that the library says why.

    Raises:
        TimbreError: ``ambiguous_voice``, it may be one of several.
    """
    by_id = [voice for voice in voices if voice.voice_id == given]
    by_name = [voice for voice in voices if voice.name and voice.name.casefold() == given.casefold()]
    by_prefix = [voice for voice in voices if given and voice.voice_id.startswith(given)]
    found = by_id or by_name or by_prefix
    if len(found) > 1:
        message = f"“{given}” may be any of {len(found)} voices: {shortened([called(voice) for voice in found])}."
        raise TimbreError(message, code="ambiguous_voice", field="voice_id", advice="Give more of the voice_id.")
    return found[0].voice_id if found else given


def owner(given: str | None, voices: Sequence[Voice], *, exact: bool = False) -> str:
    """Return the owner that is meant: the person at this machine where none is given.

    Args:
        given: an owner, whole even one without voices, or its first characters.
        voices: everybody's.
        exact: first characters will not do.

    Raises:
        TimbreError: ``unknown_owner`` or ``ambiguous_owner``.
    """
    if given is None:
        return LOCAL_OWNER
    owners = {voice.owner for voice in voices}
    if given in owners or _OWNER.fullmatch(given):
        return given
    found = [each for each in sorted(owners) if given and each.startswith(given)]
    if len(found) != 1 or exact:
        raise TimbreError(
            f"“{given}” is not the whole name of an owner." if found else f"No voice here is owned by “{given}”.",
            code="ambiguous_owner" if found else "unknown_owner",
            measured=len(found),
            limit=1,
            advice="python -m clone voices --all lists the owners.",
        )
    return found[0]
