"""The command line: its commands, their options, and how each ends.

Exit status: 0; 2 when a limit refuses, its message on one line on stderr; 1 for anything else, likewise; 130 after an
interrupt; 141, without a word, when whoever read the output has left.

Each command imports what it needs: the engine's libraries take seconds, and nobody waits for --help or a tab.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from enum import StrEnum
from io import UnsupportedOperation
from typing import TYPE_CHECKING, Any, Literal

import typer
import typer.completion
from typer.core import TyperCommand, TyperGroup

from clone.cli import completion as tab
from clone.cli import documents, engines, portable
from clone.cli.terminal import (
    PIPE,
    called,
    fail,
    interactive,
    interrupts_are_raised,
    owner,
    print_json,
    print_table,
    progress,
    result,
    sure,
)
from clone.cli.terminal import opened as _studio
from clone.cli.terminal import voice_id as meant
from clone.contract import cloning, speech
from clone.contract.cloning import CloneOptions, parse
from clone.contract.orders import LOCAL_OWNER, CloneOrder, SpeakOrder
from clone.core.errors import Refused, TimbreError, disk_full
from clone.core.jobs import Stage
from clone.core.likeness import UNMEASURED, in_words
from clone.core.settings import ENGINES, NOVITA

if TYPE_CHECKING:
    from pathlib import Path

    from clone.audio.segment import Segment
    from clone.storage.journal import Entry
    from clone.studio.facade import Cloned, Examination, Studio

DONE, FAILED, REFUSED, INTERRUPTED, UNREAD = 0, 1, 2, 130, 141
PROGRAM = "python -m clone"
FINDING = ("code", "severity", "measured", "limit", "advice")
OF_A_VOICE = ("voice_id", "name", "tags", "backend", "model", *UNMEASURED, "permanent")
LOOKS = ("Looking at the recording", "Listening for speakers and language")


# how a command ends


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, the process's own arguments where none are given; return its exit status.

    Raises:
        SystemExit: help was asked for, or there is no such command or option.
    """
    warnings.simplefilter("ignore")  # a library's warning is not for whoever waits for one line …
    logging.lastResort = logging.NullHandler()  # … and neither is what it logs, tracebacks and all
    words = list(sys.argv[1:] if argv is None else argv)
    program = typer.main.get_group(app)
    try:  # not by calling it: typer would make its own exit status of what is raised
        with program.make_context(PROGRAM, words.copy()) as context:
            program.invoke(context)
        sys.stdout.flush()
    except typer.Exit as e:
        sys.exit(e.exit_code)
    except typer.TyperException as e:
        message = e.format_message().replace("Value error, ", "").rstrip(".")
        help_of = " ".join([PROGRAM, *(word for word in words[:1] if word in program.commands), "--help"])
        usage = TimbreError(f"{message}. See {help_of}.", code="usage")
        sys.exit(fail(usage, FAILED, as_json="--json" in words))
    except TimbreError as e:
        return fail(e, REFUSED if isinstance(e, Refused) else FAILED, as_json="--json" in words)
    except BrokenPipeError:
        return _unread()
    except OSError as e:
        error = disk_full(e) or TimbreError(f"{e.filename or 'Output'}: {e.strerror or type(e).__name__}.")
        return fail(error, FAILED, as_json="--json" in words)
    except KeyboardInterrupt:
        return fail("Stopped.", INTERRUPTED)
    except Exception as e:  # noqa: BLE001  the last edge: nobody is shown a traceback
        error = TimbreError(f"Something unexpected went wrong ({type(e).__name__}).")
        return fail(error, FAILED, as_json="--json" in words)
    return DONE


def _unread() -> int:
    """Let what is still to be flushed go nowhere: the interpreter would complain of it on its way out."""
    with suppress(UnsupportedOperation, OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    return UNREAD


# what there is to say


class _Commands(TyperGroup):
    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is meant; after one that there is not, Tab offers nothing."""
        found = super().resolve_command(ctx, args)
        if found[1] is None:
            raise typer.Exit
        return found


class _PendingCommand(TyperCommand):
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give ``--keep`` an empty value where it has none: typer knows no option whose value may be left out."""
        after = args.index("--keep") + 1 if "--keep" in args else None
        if after == len(args) or (after and args[after].startswith("-")):
            args.insert(after, "")
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Commands,
    help="Clone a voice from one recording, and speak with it.",
    add_completion=False,
    rich_markup_mode=None,  # plain help is there sooner, and fits a pipe
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
app.add_typer(portable.app)
app.add_typer(documents.app, name="document")
app.add_typer(engines.app, name="scale")

_FILE: dict[str, Any] = {"metavar": "FILE", "autocompletion": tab.files}
_MODEL: dict[str, Any] = {"metavar": "MODEL", "autocompletion": tab.models}
_VOICE: dict[str, Any] = {"metavar": "VOICE", "autocompletion": tab.voices}
_RECORDING = typer.Argument(
    ...,
    **_FILE,
    help=f"a file, a URL, or - for standard input: {cloning.REFERENCE_MIN_S:.0f} s to "
    f"{cloning.clock(cloning.REFERENCE_MAX_S)} min of one person, at most {cloning.REFERENCE_MAX_BYTES / 1e6:.0f} MB",
)
_MODELS = f"one of {', '.join(cloning.MODELS)}"
_ACCURACY = f"{cloning.ACCURACY_MIN:.0f} to {cloning.ACCURACY_MAX:.0f}"
_CHARS = f"at most {cloning.TEXT_MAX_CHARS:,} characters"
_WHICH = "a voice_id, its first characters, or a name"
_WRITABLE = ".mp3, .wav or .flac"
_OWNER = "key-… of the API or visitor-… of the page, as voices --all lists them; the first characters do"
_JSON = typer.Option(False, "--json", help="print JSON")
_Language = StrEnum("_Language", [name.lower() for name in speech.LANGUAGES.values()])  # type: ignore[misc]
_LANGUAGE = typer.Option(None, case_sensitive=False, help="what the text is in; told from the text if not said")


@app.command()
def clone(
    file: str = _RECORDING,
    text: str | None = typer.Option(None, metavar="TEXT", help=f"the preview's text, {_CHARS}"),
    model: str | None = typer.Option(None, **_MODEL, help=f"the model that speaks it: {_MODELS}"),
    consent: bool = typer.Option(False, "--consent", help="the person recorded agreed to be cloned"),
    out: str | None = typer.Option(None, **_FILE, help=f"where the preview goes: {_WRITABLE}"),
    prompt_audio: str | None = typer.Option(
        None, **_FILE, help=f"a clip of the same person, shorter than {cloning.PROMPT_LIMIT_S:.0f} s"
    ),
    prompt_text: str | None = typer.Option(None, metavar="TEXT", help="what is said in it, with its punctuation"),
    accuracy: float | None = typer.Option(
        None,
        metavar="ACCURACY",
        help=f"how closely they must match, {_ACCURACY}; {cloning.ACCURACY_DEFAULT} if not said",
    ),
    noise_reduction: bool = typer.Option(False, "--noise-reduction"),
    volume_normalization: bool = typer.Option(False, "--volume-normalization"),
    segment: tuple[float, float] | None = typer.Option(
        None, "--segment", "--stretch", metavar="START END", help="seconds: clone from this part"
    ),
    language: _Language | None = _LANGUAGE,
    name: str = typer.Option("", metavar="NAME", help="a name to find the voice by", show_default=False),
    backend: Literal["local", "novita"] = typer.Option(
        "local", help="who clones; novita is paid, with the key in NOVITA_API_KEY"
    ),
    yes: bool = typer.Option(False, "--yes", help="don't ask, even where it costs something"),
    as_json: bool = _JSON,
) -> None:
    """Clone the voice of a recording."""
    if out and text is None:
        raise TimbreError("--out is where the preview goes, and there is none without --text and --model.")
    if file == prompt_audio == PIPE:
        raise TimbreError("The recording and the prompt clip can't both be standard input. Name a file for one.")
    options = {
        "text": text,
        "model": model,
        "accuracy": accuracy,
        "need_noise_reduction": noise_reduction,
        "need_volume_normalization": volume_normalization,
    }
    with _studio() as studio, studio.folder() as folder:
        from clone.cli import pipes
        from clone.storage.voice import check_name
        from clone.studio.facade import Cloned

        preview = pipes.target(out) if out else None
        order = CloneOrder(
            owner=LOCAL_OWNER,
            audio=pipes.recording(file, folder),
            options=parse(CloneOptions, {each: value for each, value in options.items() if value is not None}),
            consent=consent,
            prompt_audio=pipes.recording(prompt_audio, folder) if prompt_audio else None,
            prompt_text=prompt_text,
            name=check_name(name) if name else "",
            segment=segment,
            language=speech.check_language(language),
            backend=backend,
        )
        if backend == NOVITA and not sure(f"{studio.clone_cost(order.options)} Clone it?", yes):
            raise TimbreError("Cloning with the hosted service costs something. Say --yes to it.")
        cloned = result(studio.clone(order), Cloned)
        if preview:
            pipes.write_preview(studio, cloned.voice, preview)
        _tell_cloned(cloned, preview, as_json)


def _tell_cloned(cloned: Cloned, preview: Path | None, as_json: bool) -> None:
    voice = cloned.voice
    if not (as_json or sys.stdout.isatty()):
        print(voice.voice_id)  # id=$(python -m clone clone …)
        return
    figures = {name: getattr(voice, name) for name in UNMEASURED}
    words = {"likeness": in_words(cloned.alike)} if cloned.alike else {}
    _answer(
        as_json,
        voice_id=voice.voice_id,
        **(figures if as_json else words),
        expires_at=voice.ends,
        replayed=cloned.replayed,
        preview=str(preview) if preview else None,
        engine=voice.engine or None,
    )


@app.command()
def speak(
    voice: str = typer.Argument(..., **_VOICE, help=_WHICH),
    text: str | None = typer.Argument(None, metavar="TEXT", help="- or nothing: what comes on standard input"),
    *,
    model: str = typer.Option(..., **_MODEL, help=_MODELS),
    out: str = typer.Option(..., **_FILE, help=f"where it goes: {_WRITABLE}; - for standard output, as it is spoken"),
    audio_format: Literal["wav", "mp3", "flac"] | None = typer.Option(
        None, "--format", help="what goes to standard output; wav if not said"
    ),
    speed: float = typer.Option(1.0, help=f"{speech.SPEED_MIN} to {speech.SPEED_MAX}; 1 is the voice's own"),
    pitch: int = typer.Option(0, help=f"{speech.PITCH_MIN} to {speech.PITCH_MAX} semitones"),
    volume: float = typer.Option(1.0, help=f"a gain above 0, up to {speech.VOLUME_MAX:.0f}"),
    language: _Language | None = _LANGUAGE,
    as_json: bool = _JSON,
) -> None:
    """Speak with a kept voice, which makes it permanent."""
    piped = out == PIPE
    if piped and as_json:
        raise TimbreError("--json and --out - both need standard output. Leave one of them out.")
    with _studio() as studio:
        from clone.cli import pipes

        to = pipes.standard_output() if piped else pipes.target(out, audio_format)
        settings = speech.check_settings(speech.SpeechSettings(speed, volume, pitch))
        settings = replace(settings, language=speech.check_language(language))
        chosen = meant(voice, studio.voices(LOCAL_OWNER))
        order = SpeakOrder(LOCAL_OWNER, chosen, pipes.text(text), model, settings)
        if isinstance(to, int):
            pipes.to_pipe(studio, order, to, audio_format or "wav")
        else:
            spoken = pipes.to_file(studio, order, to)
            voice_id, ends = spoken.voice.voice_id, spoken.voice.ends
            _answer(as_json, voice_id=voice_id, expires_at=ends, speech=str(to), engine=spoken.engine or None)


@app.command()
def check(file: str = _RECORDING, as_json: bool = _JSON) -> None:
    """Tell whether a recording can be cloned, and what is wrong with it."""
    refusal: Refused | None = None
    best: Segment | None = None
    with _studio() as studio:
        engines = studio.speaking()
        try:
            seen = _examined(studio, file)
            best = seen.segment
            findings = [{name: getattr(each, name) for name in (*FINDING, "message")} for each in seen.report.findings]
        except Refused as e:  # what can't be read at all has this one finding
            refusal = e
            findings = [vars(e) | {"severity": "refuse"}]
    if as_json:
        said = [{name: finding[name] for name in FINDING} for finding in findings]
        print_json({"findings": said, "segment": asdict(best) if best else None, "engines": engines})
    else:
        print_table([(finding["severity"], f"{finding['message']} {finding['advice']}") for finding in findings])
        if best:
            print(f"Best segment: --segment {best.start_s:.1f} {best.end_s:.1f}. {' '.join(best.reasons)}")
    if refusal:
        raise refusal
    seen.report.raise_if_refused()


def _examined(studio: Studio, given: str) -> Examination:
    from clone.cli import pipes

    with studio.folder() as folder, progress() as show:
        audio = pipes.recording(given, folder)
        show(Stage(LOOKS[0], 0, len(LOOKS)))
        looks = studio.examine(audio)
        first = next(looks)
        show(Stage(LOOKS[1], 1, len(LOOKS)))
        return [first, *looks][-1]


@app.command()
def voices(
    everybodys: bool = typer.Option(False, "--all", help="of everybody, with whose they are"),
    owned_by: str | None = typer.Option(None, "--owner", metavar="OWNER", help=f"of somebody else: {_OWNER}"),
    as_json: bool = _JSON,
) -> None:
    """List the voices kept."""
    with _studio() as studio:
        of_all = studio.voices(None) if everybodys or owned_by else []
        found = of_all if everybodys else studio.voices(owner(owned_by, of_all))
        left = studio.unsettled(LOCAL_OWNER)
    whose_first = ["owner"] if everybodys else []
    if as_json:
        rows = [{name: getattr(voice, name) for name in (*OF_A_VOICE, *whose_first)} for voice in found]
        times = [{"created_at": voice.created_at.isoformat(), "expires_at": voice.ends} for voice in found]
        print_json({"voices": [row | time for row, time in zip(rows, times, strict=True)]})
    else:
        print_table(
            [
                (*(getattr(v, name) for name in whose_first), v.voice_id, v.model or "-", v.ends or "permanent", v.name)
                for v in found
            ]
        )
    if left:
        print(f"May have been paid: {len(left)}. See: {PROGRAM} pending", file=sys.stderr)


@app.command()
def keep(
    voice: str = typer.Argument(..., **_VOICE, help=_WHICH),
    yes: bool = typer.Option(False, "--yes", help="don't ask, even where it costs something"),
) -> None:
    """Make a voice permanent."""
    with _studio() as studio:
        found = studio.voices(LOCAL_OWNER)
        chosen = meant(voice, found)
        costs = any(v.voice_id == chosen and v.backend == NOVITA and not v.permanent for v in found)
        if costs and not sure(f"{studio.keep_cost()} Keep {chosen}?", yes):
            raise TimbreError("Keeping a voice of the hosted service costs something. Say --yes to it.")
        studio.keep(chosen, LOCAL_OWNER)
    print(f"{chosen} is permanent.")


@app.command(cls=_PendingCommand)
def pending(
    request: str | None = typer.Argument(None, metavar="REQUEST", help="one of the list, by its first characters"),
    keep_as: str | None = typer.Option(
        None, "--keep", metavar="[VOICE_ID]", help="it went through; of a clone, as what; not with --dismiss"
    ),
    dismiss: bool = typer.Option(False, "--dismiss", help="it did not go through, and may be sent again"),
) -> None:
    """List what may have been paid, keep it or dismiss it."""
    if dismiss and keep_as is not None:
        raise typer.BadParameter("--dismiss is not allowed with --keep")
    if not request and (dismiss or keep_as is not None):
        raise TimbreError("Say which request: its first characters in the list.")
    with _studio() as studio:
        left = studio.unsettled(LOCAL_OWNER)
        if not request:
            print_table([(e.entry_id, e.kind, f"{e.created_at:%Y-%m-%d %H:%M} UTC", _of(e, studio)) for e in left])
            return
        found = [each.entry_id for each in left if each.entry_id.startswith(request)]
        if len(found) != 1:
            raise TimbreError(f"{len(found)} requests begin with “{request[:40]}”.")
        if dismiss:
            studio.dismiss(found[0], LOCAL_OWNER)
            print(f"{found[0]} may be sent again.")
        elif keep_as is not None:
            print(f"{studio.settle(found[0], LOCAL_OWNER, keep_as).voice_id} is kept.")
        else:
            raise TimbreError("Look in the service's console whether it went through, then say --keep or --dismiss.")


def _of(left: Entry, studio: Studio) -> str:
    """Name what a request is of: the voice, which a clone has here already."""
    there = {voice.voice_id: voice.name for voice in studio.voices(LOCAL_OWNER)}
    return (left.voice.name if left.voice else there.get(left.voice_id)) or left.voice_id


@app.command()
def forget(
    given: list[str] | None = typer.Argument(None, **_VOICE, help=_WHICH),
    of: str | None = typer.Option(
        None, "--owner", metavar="OWNER", help=f"of somebody else, all where no VOICE is given: {_OWNER}"
    ),
    yes: bool = typer.Option(False, "--yes", help="don't ask"),
) -> None:
    """Remove voices and all their recordings."""
    asked = yes or interactive()
    with _studio() as studio:
        owned_by = owner(of, studio.voices(None) if of else [], exact=not asked)
        if of and not given:
            sure(f"Remove all voices and recordings of {owned_by}?", yes)
            print(f"Everything of {owned_by} is gone; voices: {studio.forget_all(owned_by)}.")
            return
        if not given:
            raise TimbreError("Which voices? Give their voice_ids, or --owner for all of somebody's.")
        there = studio.voices(owned_by)
        chosen = list(dict.fromkeys(meant(each, there) for each in given))
        if asked:
            names = {voice.voice_id: called(voice) for voice in there}
            several = ", ".join(names.get(each, each) for each in chosen)
            sure(f"Remove {several} and all recordings of {'it' if len(chosen) == 1 else 'them'}?", yes)
        else:  # nobody says whether it is right
            for each in given:
                if (found := meant(each, there)) != each:
                    raise TimbreError(f"“{each}” is not the whole voice_id ({found}). Give that, or --yes.")
        for each in chosen:
            studio.forget(each, owned_by)
            print(f"{each} and its recordings are gone.")


@app.command()
def doctor(
    restores: bool = typer.Option(False, "--restore", help="restore voices from what lies beside their recordings"),
    as_json: bool = _JSON,
) -> None:
    """Tell what is the matter with the library, and put it right."""
    from clone.cli.doctor import run

    interrupts_are_raised()
    run(restores=restores, as_json=as_json)


@app.command()
def models(
    action: Literal["get"] | None = typer.Argument(None, metavar="get", show_choices=False, help="get an engine"),
    name: str | None = typer.Argument(None, metavar="NAME", autocompletion=lambda: list(ENGINES), help="which one"),
    accept_terms: bool = typer.Option(False, "--accept-terms", help="its licence and terms of use are accepted"),
    as_json: bool = _JSON,
) -> None:
    """List the engines that can be added, or get one."""
    from clone.cli import engines

    if action and not name:
        raise TimbreError(f"Which engine? There is: {', '.join(ENGINES)}.")
    with _studio() as studio:
        if name:
            engines.get(studio, name, accepted=accept_terms)
        else:
            engines.tell(studio, as_json=as_json)


@app.command()
def completion(
    shell: Literal["bash", "zsh", "fish", "voices", "words"] = typer.Argument(
        ..., metavar="|".join(tab.SCRIPTS), show_choices=False, autocompletion=lambda: list(tab.SCRIPTS)
    ),
) -> None:
    """Print a script for the shell, to complete words with Tab."""
    if shell == "words":  # a script asks; typer answers by the environment, and leaves
        typer.completion.get_completion_inspect_parameters()  # makes the shells known, for once without typer's options
        app([], prog_name="timbre", complete_var=tab.ASKED, standalone_mode=False)
    elif shell == "voices":
        print_table([(name,) for name in tab.voices()])
    else:
        print(tab.script(shell), end="")


def _answer(as_json: bool, **answer: object) -> None:
    if as_json:
        print_json(answer)
        return
    shown = {name: f"{value:.2f}" if isinstance(value, float) else str(value) for name, value in answer.items()}
    print_table([(name, shown[name]) for name, value in answer.items() if value not in (None, False)])
    if "expires_at" in answer and answer["expires_at"] is None:
        print("The voice is permanent.")
