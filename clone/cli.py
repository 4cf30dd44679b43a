"""The command line, thin over Studio: clone, speak, check, voices, forget.

Exit status: 0; 2 when a limit refuses, its message on one line on stderr; 1 for anything else, likewise.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from clone.audio.read import read
from clone.audio.stretch import Stretch
from clone.contract import CloneOptions, parse
from clone.errors import Refused, TimbreError
from clone.settings import Settings
from clone.studio import Cloned, CloneOrder, SpeakOrder, Spoken, Studio, Voice, Waiting

OWNER = "local"
DONE, FAILED, REFUSED, INTERRUPTED = 0, 1, 2, 130
WRITABLE = (".mp3", ".wav", ".flac")
FINDING = ("code", "severity", "measured", "limit", "advice")
Result = TypeVar("Result", Cloned, Spoken)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: what follows ``python -m clone``; the process's own arguments when None.

    Returns:
        The exit status.
    """
    warnings.simplefilter("ignore")  # a library's warning is not for whoever waits for one line
    arguments = _parser().parse_args(argv)
    try:
        with closing(Studio(Settings.from_environment())) as studio:
            studio.start(warm=False)  # retention holds for who only ever uses the command line, too
            arguments.command(studio, arguments)
        sys.stdout.flush()
    except Refused as e:
        return _fail(str(e), REFUSED)
    except TimbreError as e:
        return _fail(str(e), FAILED)
    except OSError as e:
        return _fail(f"{e.filename or 'Output'}: {e.strerror or type(e).__name__}.", FAILED)
    except KeyboardInterrupt:
        return _fail("Stopped.", INTERRUPTED)
    except Exception as e:  # noqa: BLE001  the last edge: nobody is shown a traceback
        return _fail(f"Something unexpected went wrong ({type(e).__name__}).", FAILED)
    return DONE


# the commands


def _clone(studio: Studio, arguments: argparse.Namespace) -> None:
    if arguments.out and arguments.text is None:
        raise TimbreError("--out is where the preview goes, and there is none without --text and --model.")
    out = _target(arguments.out) if arguments.out else None
    order = CloneOrder(
        owner=OWNER,
        audio=_recording(arguments.file),
        options=parse(CloneOptions, _options(arguments)),
        consent=arguments.consent,
        prompt_audio=_recording(arguments.prompt_audio) if arguments.prompt_audio else None,
        prompt_text=arguments.prompt_text,
        name=arguments.name,
        stretch=tuple(arguments.stretch) if arguments.stretch else None,
    )
    cloned = _follow(studio.clone(order), Cloned)
    if out:
        _write_preview(studio, cloned.voice, out)
    _answer(
        arguments.json,
        voice_id=cloned.voice.voice_id,
        likeness=cloned.likeness,
        ceiling=cloned.ceiling,
        expires_at=_expiry(cloned.voice),
        replayed=cloned.replayed,
        preview=str(out) if out else None,
    )


def _write_preview(studio: Studio, voice: Voice, out: Path) -> None:
    kept = studio.audio(voice.voice_id, OWNER, "preview")
    if kept.suffix == out.suffix.lower():
        shutil.copyfile(kept, out)
        return
    preview = read(kept)
    studio.write_speech(Spoken(voice, preview.samples, preview.sample_rate), out)


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    given = {
        "text": arguments.text,
        "model": arguments.model,
        "accuracy": arguments.accuracy,
        "need_noise_reduction": arguments.noise_reduction,
        "need_volume_normalization": arguments.volume_normalization,
    }
    return {name: value for name, value in given.items() if value is not None}


def _speak(studio: Studio, arguments: argparse.Namespace) -> None:
    out = _target(arguments.out)
    order = SpeakOrder(owner=OWNER, voice_id=arguments.voice_id, text=arguments.text, model=arguments.model)
    spoken = _follow(studio.speak(order), Spoken)
    studio.write_speech(spoken, out)
    _answer(arguments.json, voice_id=spoken.voice.voice_id, expires_at=_expiry(spoken.voice), speech=str(out))


def _check(studio: Studio, arguments: argparse.Namespace) -> None:
    refusal: Refused | None = None
    best: Stretch | None = None
    try:
        seen = list(studio.examine(_recording(arguments.file)))[-1]
        best = seen.stretch
        findings = [
            {name: getattr(finding, name) for name in (*FINDING, "message")} for finding in seen.report.findings
        ]
    except Refused as e:  # what can't be read at all has this one finding
        refusal = e
        findings = [vars(e) | {"severity": "refuse"}]
    if arguments.json:
        said = [{name: finding[name] for name in FINDING} for finding in findings]
        _print_json({"findings": said, "stretch": asdict(best) if best else None})
    else:
        _print_table([(finding["severity"], f"{finding['message']} {finding['advice']}") for finding in findings])
        if best:
            print(f"Best stretch: --stretch {best.start_s:.1f} {best.end_s:.1f}. {' '.join(best.reasons)}")
    if refusal:
        raise refusal
    seen.report.raise_if_refused()


def _voices(studio: Studio, arguments: argparse.Namespace) -> None:
    voices = studio.voices(OWNER)
    if arguments.json:
        names = ("voice_id", "name", "backend", "model", "likeness", "ceiling", "permanent")
        _print_json(
            {
                "voices": [
                    {name: getattr(voice, name) for name in names}
                    | {"created_at": voice.created_at.isoformat(), "expires_at": _expiry(voice)}
                    for voice in voices
                ]
            }
        )
    else:
        _print_table([(v.voice_id, v.model or "-", _expiry(v) or "permanent", v.name) for v in voices])


def _forget(studio: Studio, arguments: argparse.Namespace) -> None:
    studio.forget(arguments.voice_id, OWNER)
    print(f"{arguments.voice_id} and its recordings are gone.")


# what goes in


def _recording(given: str) -> Path | str:
    if given.startswith(("http://", "https://")):
        return given
    path = Path(given).expanduser()
    if not path.is_file():
        raise TimbreError(f"There is no file {given}.")
    return path


def _target(given: str) -> Path:
    """Return where to write, refused before any work when nothing could be written there."""
    path = Path(given).expanduser()
    if path.suffix.lower() not in WRITABLE:
        raise TimbreError(f"{given} must end in {', '.join(WRITABLE[:-1])} or {WRITABLE[-1]}.")
    if not path.parent.is_dir():
        raise TimbreError(f"There is no folder {path.parent} to write {path.name} into.")
    if path.is_dir():
        raise TimbreError(f"{given} is a folder, not a file.")
    return path


def _follow(steps: Iterator[object], kind: type[Result]) -> Result:
    """Show the stages while they run and return the result, which comes last."""
    try:
        for step in steps:
            if isinstance(step, kind):
                return step
            _show(f"Waiting at place {step.position}" if isinstance(step, Waiting) else getattr(step, "name", ""))
    finally:
        _show("")
    raise TimbreError("The work ended without a result.")


def _show(stage: str) -> None:
    """Replace the stage on the terminal; where stderr is none, stages are nobody's to read."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{stage}", end="", file=sys.stderr, flush=True)


# what comes out


def _expiry(voice: Voice) -> str | None:
    return None if voice.expires_at is None else voice.expires_at.isoformat(timespec="seconds")


def _answer(as_json: bool, **answer: object) -> None:
    if as_json:
        _print_json(answer)
        return
    _print_table([(name, _shown(value)) for name, value in answer.items() if value not in (None, False)])
    if "expires_at" in answer and answer["expires_at"] is None:
        print("The voice is permanent.")


def _shown(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _print_json(answer: object) -> None:
    print(json.dumps(answer, ensure_ascii=False, indent=2))


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _fail(message: str, status: int) -> int:
    print(" ".join(message.split()), file=sys.stderr)
    return status


# the arguments


class _Parser(argparse.ArgumentParser):
    """argparse would exit with 2, which means a limit here, and print the usage before its message."""

    def error(self, message: str) -> NoReturn:
        sys.exit(_fail(f"{message}. See {self.prog} --help.", FAILED))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m clone", description="Clone a voice from one recording, and speak with it.")
    commands = parser.add_subparsers(required=True, metavar="command", parser_class=_Parser)
    _add_clone(commands)
    speak = commands.add_parser("speak", help="speak with a kept voice, which makes it permanent")
    speak.add_argument("voice_id", metavar="VOICE_ID")
    speak.add_argument("text", metavar="TEXT")
    speak.add_argument("--model", required=True)
    speak.add_argument("--out", required=True, metavar="FILE", help="where the speech goes: .wav, .mp3 or .flac")
    check = commands.add_parser("check", help="tell whether a recording can be cloned, and what is wrong with it")
    check.add_argument("file", metavar="FILE", help="a file or a URL")
    voices = commands.add_parser("voices", help="list the voices kept")
    forget = commands.add_parser("forget", help="remove a voice and all its recordings")
    forget.add_argument("voice_id", metavar="VOICE_ID")
    for command, run in ((speak, _speak), (check, _check), (voices, _voices), (forget, _forget)):
        command.set_defaults(command=run)
    for command in (speak, check, voices):
        command.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _add_clone(commands: Any) -> None:
    clone = commands.add_parser("clone", help="clone the voice of a recording")
    clone.set_defaults(command=_clone)
    clone.add_argument("file", metavar="FILE", help="a file or a URL")
    clone.add_argument("--text", help="the preview's text")
    clone.add_argument("--model", help="the model that speaks it")
    clone.add_argument("--consent", action="store_true", help="the person recorded agreed to be cloned")
    clone.add_argument("--out", metavar="PREVIEW", help="where the preview goes: .wav, .mp3 or .flac")
    clone.add_argument("--prompt-audio", metavar="FILE", help="a short clip of the same person")
    clone.add_argument("--prompt-text", metavar="TEXT", help="what is said in it")
    clone.add_argument("--accuracy", type=float, help="how closely clip and transcript must match")
    clone.add_argument("--noise-reduction", action="store_true")
    clone.add_argument("--volume-normalization", action="store_true")
    clone.add_argument("--stretch", nargs=2, type=float, metavar=("START", "END"), help="seconds: clone from this part")
    clone.add_argument("--name", default="", help="a name to find the voice by")
    clone.add_argument("--json", action="store_true", help="print JSON")
