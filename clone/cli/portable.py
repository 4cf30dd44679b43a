"""What goes in and out as one file: a table spoken into a zip, and voices taken elsewhere."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import typer

from clone.cli import completion as tab
from clone.cli.terminal import opened, print_json, print_table, progress, showing
from clone.cli.terminal import voice_id as meant
from clone.contract import speech
from clone.contract.orders import LOCAL_OWNER
from clone.core.errors import TimbreError

app = typer.Typer()
_FILE: dict[str, Any] = {"metavar": "FILE", "autocompletion": tab.files}
_VOICE: dict[str, Any] = {"metavar": "VOICE", "autocompletion": tab.voices}
_JSON = typer.Option(False, "--json", help="print JSON")


@app.command()
def batch(
    table: str = typer.Argument(..., **_FILE, help="a CSV with the columns text, voice and file"),
    model: str = typer.Option(..., metavar="MODEL", autocompletion=tab.models, help="the model that speaks"),
    out: str = typer.Option(..., **_FILE, help="where the zip goes"),
    voice: str = typer.Option("", **_VOICE, help="who speaks where the table does not say", show_default=False),
    audio_format: Literal["mp3", "wav", "flac"] = typer.Option("mp3", "--format", help="where a name says none"),
    speed: float = typer.Option(1.0, help=f"{speech.SPEED_MIN} to {speech.SPEED_MAX}"),
    as_json: bool = _JSON,
) -> None:
    """Speak a table of texts into a zip, on after a row that fails, with a report.csv in it."""
    path = _writable(out, ".zip")
    with opened() as studio:
        from clone.studio.facade import BatchDone, BatchOrder

        settings = speech.check_settings(speech.SpeechSettings(speed))
        asked = BatchOrder(LOCAL_OWNER, Path(table).expanduser(), model, settings, voice, f".{audio_format}")
        done = None
        with progress() as show, closing(studio.batch(asked, path)) as events:
            for event in showing(events, show):
                done = event if isinstance(event, BatchDone) else done
        assert done is not None, "the last one is it"
    if as_json:
        rows = [{"row": row.number, "file": row.file, "reason": row.reason or None} for row in done.rows]
        print_json({"zip": str(path), "n_failed": done.n_failed, "rows": rows})
    else:
        print_table([(str(row.number), row.reason or row.file) for row in done.rows])
    if done.n_failed:
        raise TimbreError(f"{done.n_failed} of {len(done.rows)} rows failed; report.csv in the zip says why.")


@app.command("export")
def export_voices(
    given: list[str] = typer.Argument(..., **_VOICE, help="a voice_id, its first characters, or a name"),
    out: str = typer.Option(..., **_FILE, help="where they go: a .timbre file"),
) -> None:
    """Write voices to one file, to be imported elsewhere: recordings, settings and what was learned."""
    path = _writable(out, ".timbre")
    with opened() as studio, studio.folder() as folder:
        there = studio.voices(LOCAL_OWNER)
        chosen = [meant(each, there) for each in given]
        made = folder / "voices.timbre"
        studio.export_voices(chosen, LOCAL_OWNER, made)
        path.touch(0o600)  # recordings are nobody else's to read
        path.write_bytes(made.read_bytes())
    print(path)


@app.command("import")
def import_voices(
    file: str = typer.Argument(..., **_FILE, help="a .timbre file"),
    consent: bool = typer.Option(False, "--consent", help="those recorded agreed to be cloned"),
    as_json: bool = _JSON,
) -> None:
    """Take in the voices of a file, as if they were cloned here."""
    with opened() as studio:
        from clone.studio.facade import Imported

        came: Imported | None = None
        with (
            progress() as show,
            closing(studio.import_voices(Path(file).expanduser(), LOCAL_OWNER, consent=consent)) as events,
        ):
            for event in showing(events, show):
                came = event if isinstance(event, Imported) else came
        assert came is not None, "the last one is it"
    found = [each.voice for each in came.cloned]
    if as_json:
        print_json({"voices": [{"voice_id": each.voice_id, "name": each.name} for each in found]})
    else:
        print_table([(each.voice_id, each.ends or "permanent", each.name) for each in found])
    for name, error in came.refused:
        print(f"{name or 'A voice'}: {error}", file=sys.stderr)


def _writable(out: str, suffix: str) -> Path:
    path = Path(out).expanduser()
    if path.suffix.lower() != suffix:
        raise TimbreError(f"{out} must end in {suffix}.")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise TimbreError(f"There is no folder {path.parent} to write {path.name} into.")
    return path
