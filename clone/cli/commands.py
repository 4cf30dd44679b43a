"""What each command does: one call of Studio, and what is said of it."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from clone.audio.reader import read
from clone.audio.segment import Stretch
from clone.cli import pipes
from clone.cli.arguments import PIPE
from clone.cli.owner import owner, voice_id
from clone.cli.progress import result
from clone.cli.speak import speak
from clone.cli.terminal import Progress, print_json, print_table, someone_is_there, sure
from clone.contract.cloning import CloneOptions, parse
from clone.contract.orders import LOCAL_OWNER
from clone.contract.speech import check_language
from clone.core.errors import Refused, TimbreError
from clone.core.likeness import UNMEASURED, told
from clone.core.settings import NOVITA, Settings
from clone.storage.journal import Entry
from clone.storage.voice import check_name
from clone.studio.facade import Cloned, CloneOrder, Examination, Spoken, Studio, Voice

FINDING = ("code", "severity", "measured", "limit", "advice")
OF_A_VOICE = ("voice_id", "name", "backend", "model", *UNMEASURED, "permanent")
LOOKS = ("Looking at the recording", "Listening for speakers and language")


def run(arguments: argparse.Namespace) -> None:
    """Do what a command line asks for.

    Raises:
        TimbreError: what refuses or fails; OSError and KeyboardInterrupt come through.
    """
    commands: dict[str, Callable[[Studio, argparse.Namespace], None]] = {
        "clone": _clone,
        "speak": _speak,
        "check": _check,
        "voices": _voices,
        "keep": _keep,
        "pending": _pending,
        "forget": _forget,
    }
    with closing(Studio(Settings.from_environment())) as studio:
        studio.start(warm=False)  # retention holds for who only ever uses the command line, too
        try:
            commands[arguments.command](studio, arguments)
        except KeyboardInterrupt:
            if studio.awaits_paid_answer:
                print("Waiting for the answer to what is paid for; interrupt again to leave now.", file=sys.stderr)
            raise


def _clone(studio: Studio, arguments: argparse.Namespace) -> None:
    if arguments.out and arguments.text is None:
        raise TimbreError("--out is where the preview goes, and there is none without --text and --model.")
    if arguments.file == arguments.prompt_audio == PIPE:
        raise TimbreError("The recording and the prompt clip can't both be standard input. Name a file for one.")
    out = pipes.target(arguments.out) if arguments.out else None
    with studio.folder() as folder:
        order = CloneOrder(
            owner=LOCAL_OWNER,
            audio=pipes.recording(arguments.file, folder),
            options=parse(CloneOptions, _options(arguments)),
            consent=arguments.consent,
            prompt_audio=pipes.recording(arguments.prompt_audio, folder) if arguments.prompt_audio else None,
            prompt_text=arguments.prompt_text,
            name=check_name(arguments.name) if arguments.name else "",
            stretch=tuple(arguments.stretch) if arguments.stretch else None,
            language=check_language(arguments.language),
        )
        cloned = result(studio.clone(order), Cloned)
    if out:
        _write_preview(studio, cloned.voice, out)
    if not (arguments.json or sys.stdout.isatty()):
        print(cloned.voice.voice_id)  # id=$(python -m clone clone …)
        return
    _answer(
        arguments.json,
        voice_id=cloned.voice.voice_id,
        **_likeness(cloned, arguments.json),
        expires_at=cloned.voice.ends,
        replayed=cloned.replayed,
        preview=str(out) if out else None,
    )


def _likeness(cloned: Cloned, as_json: bool) -> dict[str, object]:
    """Return it in figures for a program, in words for a person."""
    if as_json:
        return {name: getattr(cloned.voice, name) for name in UNMEASURED}
    return {"likeness": told(cloned.alike)} if cloned.alike else {}


def _write_preview(studio: Studio, voice: Voice, out: Path) -> None:
    kept = studio.audio(voice.voice_id, LOCAL_OWNER, "preview")
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
    spoken = speak(studio, arguments, LOCAL_OWNER)
    if spoken:
        voice, out = spoken
        _answer(arguments.json, voice_id=voice.voice_id, expires_at=voice.ends, speech=str(out))


def _check(studio: Studio, arguments: argparse.Namespace) -> None:
    refusal: Refused | None = None
    best: Stretch | None = None
    try:
        seen = _examined(studio, arguments.file)
        best = seen.stretch
        findings = [
            {name: getattr(finding, name) for name in (*FINDING, "message")} for finding in seen.report.findings
        ]
    except Refused as e:  # what can't be read at all has this one finding
        refusal = e
        findings = [vars(e) | {"severity": "refuse"}]
    if arguments.json:
        said = [{name: finding[name] for name in FINDING} for finding in findings]
        print_json({"findings": said, "stretch": asdict(best) if best else None})
    else:
        print_table([(finding["severity"], f"{finding['message']} {finding['advice']}") for finding in findings])
        if best:
            print(f"Best stretch: --stretch {best.start_s:.1f} {best.end_s:.1f}. {' '.join(best.reasons)}")
    if refusal:
        raise refusal
    seen.report.raise_if_refused()


def _examined(studio: Studio, given: str) -> Examination:
    with studio.folder() as folder, Progress() as progress:
        audio = pipes.recording(given, folder)
        progress.show(LOOKS[0], 0, len(LOOKS))
        looks = studio.examine(audio)
        first = next(looks)
        progress.show(LOOKS[1], 1, len(LOOKS))
        return [first, *looks][-1]


def _voices(studio: Studio, arguments: argparse.Namespace) -> None:
    everybodys = studio.voices(None) if arguments.all or arguments.owner else []
    voices = everybodys if arguments.all else studio.voices(owner(arguments.owner, everybodys))
    whose = ("owner",) if arguments.all else ()
    if arguments.json:
        print_json(
            {
                "voices": [
                    {name: getattr(voice, name) for name in (*OF_A_VOICE, *whose)}
                    | {"created_at": voice.created_at.isoformat(), "expires_at": voice.ends}
                    for voice in voices
                ]
            }
        )
    else:
        of_all = [(v.owner,) if whose else () for v in voices]
        rows = [(v.voice_id, v.model or "-", v.ends or "permanent", v.name) for v in voices]
        print_table([(*first, *row) for first, row in zip(of_all, rows, strict=True)])
    if left := studio.unsettled(LOCAL_OWNER):
        print(f"May have been paid: {len(left)}. See: python -m clone pending", file=sys.stderr)


def _pending(studio: Studio, arguments: argparse.Namespace) -> None:
    left = studio.unsettled(LOCAL_OWNER)
    if not arguments.request:
        if arguments.dismiss or arguments.keep is not None:
            raise TimbreError("Say which request: its first characters in the list.")
        print_table([(e.entry_id, e.kind, f"{e.created_at:%Y-%m-%d %H:%M} UTC", _of(e, studio)) for e in left])
        return
    found = [each.entry_id for each in left if each.entry_id.startswith(arguments.request)]
    if len(found) != 1:
        raise TimbreError(f"{len(found)} requests begin with “{arguments.request[:40]}”.")
    if arguments.dismiss:
        studio.dismiss(found[0], LOCAL_OWNER)
        print(f"{found[0]} may be sent again.")
    elif arguments.keep is not None:
        print(f"{studio.settle(found[0], LOCAL_OWNER, arguments.keep).voice_id} is kept.")
    else:
        raise TimbreError("Look in the service's console whether it went through, then say --keep or --dismiss.")


def _of(left: Entry, studio: Studio) -> str:
    """Name what a request is of: the voice, which a clone has here already."""
    there = {voice.voice_id: voice.name for voice in studio.voices(LOCAL_OWNER)}
    return (left.voice.name if left.voice else there.get(left.voice_id)) or left.voice_id


def _keep(studio: Studio, arguments: argparse.Namespace) -> None:
    voices = studio.voices(LOCAL_OWNER)
    chosen = voice_id(arguments.voice, voices)
    costs = any(v.voice_id == chosen and v.backend == NOVITA and not v.permanent for v in voices)
    if costs and not sure(f"{studio.keep_cost()} Keep {chosen}?", arguments.yes):
        raise TimbreError("Keeping a voice of the hosted service costs something. Say --yes to it.")
    studio.keep(chosen, LOCAL_OWNER)
    print(f"{chosen} is permanent.")


def _forget(studio: Studio, arguments: argparse.Namespace) -> None:
    asked = arguments.yes or someone_is_there()
    everybodys = studio.voices(None) if arguments.owner else []
    whose = owner(arguments.owner, everybodys, whole=not asked)
    if arguments.owner and not arguments.voices:
        sure(f"Remove all voices and recordings of {whose}?", arguments.yes)
        print(f"Everything of {whose} is gone; voices: {studio.forget_all(whose)}.")
        return
    voices = studio.voices(whose)
    if not arguments.voices:
        raise TimbreError("Which voices? Give their voice_ids, or --owner for all of somebody's.")
    if asked:
        chosen = list(dict.fromkeys(voice_id(given, voices) for given in arguments.voices))
        sure(f"Remove {_called(chosen, voices)} and all recordings of {_it(chosen)}?", arguments.yes)
    else:  # nobody is asked whether the right one was found, so nothing is looked for
        chosen = _whole_ids(arguments.voices, voices)
    for each in chosen:
        studio.forget(each, whose)
        print(f"{each} and its recordings are gone.")


def _whole_ids(given: Sequence[str], voices: Sequence[Voice]) -> list[str]:
    for each in given:
        found = voice_id(each, voices)
        if found != each:
            raise TimbreError(f"“{each}” is not the whole voice_id ({found}). Give that, or --yes.")
    return list(dict.fromkeys(given))


def _called(chosen: Sequence[str], voices: Sequence[Voice]) -> str:
    names = {voice.voice_id: voice.name for voice in voices}
    return ", ".join(f"{each} ({names[each]})" if names.get(each) else each for each in chosen)


def _it(chosen: Sequence[str]) -> str:
    return "it" if len(chosen) == 1 else "them"


def _answer(as_json: bool, **answer: object) -> None:
    if as_json:
        print_json(answer)
        return
    print_table([(name, _shown(value)) for name, value in answer.items() if value not in (None, False)])
    if "expires_at" in answer and answer["expires_at"] is None:
        print("The voice is permanent.")


def _shown(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
