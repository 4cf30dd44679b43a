"""Following the studio's work: its stages to the terminal, the rest to whoever asked."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from typing import TypeVar, cast

from clone.cli.terminal import Progress
from clone.core.errors import TimbreError
from clone.studio.facade import Stage, Waiting

Result = TypeVar("Result")


def told(events: Iterable[object], progress: Progress) -> Iterator[object]:
    """Show the stages while they run; yield everything else."""
    for event in events:
        if isinstance(event, Stage):
            progress.show(event.name, event.done, event.total)
        elif isinstance(event, Waiting):
            progress.show(f"Waiting at place {event.position}")
        else:
            yield event


def result(events: Iterator[object], kind: type[Result]) -> Result:
    """Show the stages while they run and return the result, which comes last."""
    with Progress() as progress, closing(cast(Generator[object, None, None], events)):
        for event in told(events, progress):
            if isinstance(event, kind):
                return event
    raise TimbreError("The work ended without a result.")
