"""The commands and their options. Imports little: --help is there at once."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn

from clone.cli.terminal import fail
from clone.contract.speech import LANGUAGES, PITCH_MAX, PITCH_MIN, SPEED_MAX, SPEED_MIN, VOLUME_MAX

PIPE = "-"
WRITABLE = (".mp3", ".wav", ".flac")
PIPED_FORMATS = ("wav", "mp3", "flac")
SHELLS = ("bash",)
VOICES = "voices"
"""Asked of ``completion`` by the script itself: what may stand for a voice."""
_VOICE = "a voice_id, its first characters, or a name"
_OWNER = "key-… of the API or visitor-… of the page, as voices --all lists them; the first characters do"
_WRITABLE = f"{', '.join(WRITABLE[:-1])} or {WRITABLE[-1]}"
_LANGUAGES = tuple(name.lower() for name in LANGUAGES.values())
_LANGUAGE = "what the text is in; told from the text if not said"
_WRONG = 1


class _Parser(argparse.ArgumentParser):
    """argparse would exit with 2, which means a limit here, and print the usage before its message."""

    def error(self, message: str) -> NoReturn:
        sys.exit(fail(f"{message}. See {self.prog} --help.", _WRONG))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; what a word stands for is in its metavar (FILE, VOICE, MODEL)."""
    parser = _Parser(prog="python -m clone", description="Clone a voice from one recording, and speak with it.")
    commands = parser.add_subparsers(required=True, dest="command", metavar="command", parser_class=_Parser)
    _add_clone(commands)
    _add_speak(commands)
    check = commands.add_parser("check", help="tell whether a recording can be cloned, and what is wrong with it")
    check.add_argument("file", metavar="FILE", help="a file, a URL, or - for standard input")
    voices = commands.add_parser("voices", help="list the voices kept")
    voices.add_argument("--all", action="store_true", help="of everybody, with whose they are")
    voices.add_argument("--owner", metavar="OWNER", help=f"of somebody else: {_OWNER}")
    keep = commands.add_parser("keep", help="make a voice permanent")
    keep.add_argument("voice", metavar="VOICE", help=_VOICE)
    keep.add_argument("--yes", action="store_true", help="don't ask, even where it costs something")
    pending = commands.add_parser("pending", help="list what may have been paid, keep it or dismiss it")
    pending.add_argument("request", metavar="REQUEST", nargs="?", help="one of the list, by its first characters")
    ends = pending.add_mutually_exclusive_group()
    ends.add_argument("--keep", metavar="VOICE_ID", nargs="?", const="", help="it went through; of a clone, as what")
    ends.add_argument("--dismiss", action="store_true", help="it did not go through, and may be sent again")
    forget = commands.add_parser("forget", help="remove voices and all their recordings")
    forget.add_argument("voices", metavar="VOICE", nargs="*", help=_VOICE)
    forget.add_argument("--owner", metavar="OWNER", help=f"of somebody else, all where no VOICE is given: {_OWNER}")
    forget.add_argument("--yes", action="store_true", help="don't ask")
    doctor = commands.add_parser("doctor", help="tell what is the matter with the library, and put it right")
    doctor.add_argument("--restore", action="store_true", help="restore voices from what lies beside their recordings")
    completion = commands.add_parser("completion", help="print a script for the shell, to complete words with Tab")
    completion.add_argument("shell", choices=(*SHELLS, VOICES), metavar="|".join(SHELLS))
    for command in (check, voices, doctor):
        command.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _add_clone(commands: Any) -> None:
    clone = commands.add_parser("clone", help="clone the voice of a recording")
    clone.add_argument("file", metavar="FILE", help="a file, a URL, or - for standard input")
    clone.add_argument("--text", help="the preview's text")
    clone.add_argument("--model", metavar="MODEL", help="the model that speaks it")
    clone.add_argument("--consent", action="store_true", help="the person recorded agreed to be cloned")
    clone.add_argument("--out", metavar="FILE", help=f"where the preview goes: {_WRITABLE}")
    clone.add_argument("--prompt-audio", metavar="FILE", help="a short clip of the same person")
    clone.add_argument("--prompt-text", metavar="TEXT", help="what is said in it")
    clone.add_argument("--accuracy", type=float, help="how closely clip and transcript must match")
    clone.add_argument("--noise-reduction", action="store_true")
    clone.add_argument("--volume-normalization", action="store_true")
    clone.add_argument("--stretch", nargs=2, type=float, metavar=("START", "END"), help="seconds: clone from this part")
    clone.add_argument("--language", choices=_LANGUAGES, type=str.lower, help=_LANGUAGE)
    clone.add_argument("--name", default="", help="a name to find the voice by")
    clone.add_argument("--json", action="store_true", help="print JSON")


def _add_speak(commands: Any) -> None:
    speak = commands.add_parser("speak", help="speak with a kept voice, which makes it permanent")
    speak.add_argument("voice", metavar="VOICE", help=_VOICE)
    speak.add_argument("text", metavar="TEXT", nargs="?", help="- or nothing: what comes on standard input")
    speak.add_argument("--model", metavar="MODEL", required=True, help="the model that speaks")
    speak.add_argument(
        "--out",
        metavar="FILE",
        required=True,
        help=f"where it goes: {_WRITABLE}; - for standard output, as it is spoken",
    )
    speak.add_argument("--format", choices=PIPED_FORMATS, help="what goes to standard output; wav if not said")
    speak.add_argument("--speed", type=float, default=1.0, help=f"{SPEED_MIN} to {SPEED_MAX}; 1 is the voice's own")
    speak.add_argument("--pitch", type=int, default=0, help=f"{PITCH_MIN} to {PITCH_MAX} semitones")
    speak.add_argument("--volume", type=float, default=1.0, help=f"a gain above 0, up to {VOLUME_MAX:.0f}")
    speak.add_argument("--language", choices=_LANGUAGES, type=str.lower, help=_LANGUAGE)
    speak.add_argument("--json", action="store_true", help="print JSON")
