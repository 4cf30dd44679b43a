"""The shell's completion: a script made from the parser, so that it knows what there is; Tab asks for the voices."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from clone.cli.arguments import VOICES, parser
from clone.contract.cloning import MODELS
from clone.contract.orders import LOCAL_OWNER
from clone.core.settings import Settings
from clone.storage.files import Store
from clone.storage.voice import sayable
from clone.storage.voices import Library

FILES, MODEL, NOTHING = "files", "models", "nothing"
_KINDS = {"FILE": FILES, "VOICE": VOICES, "MODEL": MODEL}
ROOT = Path(__file__).parent.parent.parent

_BASH = r"""# Completion for Timbre. In ~/.bashrc:  source <(cd @ROOT@ && @PYTHON@ -m clone completion bash)
# It also makes timbre, which is @PYTHON@ -m clone from any folder.

timbre() { PYTHONPATH=@ROOT@${PYTHONPATH:+:$PYTHONPATH} @PYTHON@ -P -m clone "$@"; }

_timbre_words() { COMPREPLY=($(compgen -W "$1" -- "$cur")); }

# A name may have spaces in it: what is compared, and inserted, is the name as the shell wants it written. Between
# quotes a name goes in as it is, unless it has something in it that means more there.
_timbre_voices() {
  local voice written
  while IFS= read -r voice; do
    printf -v written %q "$voice"
    if [[ $cur == [\"\']* ]]; then
      [[ $voice == *[\"\'\$\`\\!]* ]] && continue
      written=$voice
    fi
    [[ $written == "${cur#[\"\']}"* ]] && COMPREPLY+=("$written")
  done < <(timbre completion voices 2>/dev/null)
}

# Completes the words after the first $1, which start the program.
_timbre_after() {
  local cur=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[$1]} kind=nothing options= place=0 n i
  COMPREPLY=()
  ((COMP_CWORD < $1)) && return
  ((COMP_CWORD == $1)) && { _timbre_words '@COMMANDS@'; return; }
  for ((i = $1 + 1; i < COMP_CWORD; i++)); do
    n=0
    case "$command ${COMP_WORDS[i]}" in
@VALUES@
      *' '-?*) ;;
      *) ((place += 1)) ;;
    esac
    ((n)) && [[ ${COMP_WORDS[i + 1]} == = ]] && ((n += 1))
    ((i += n))
  done
  [[ $cur == = ]] && cur=
  if ((i == COMP_CWORD)); then
    case "$command $place" in
@PLACES@
      *) kind=nothing ;;
    esac
    case $command in
@OPTIONS@
    esac
    [[ $cur == -* ]] && { _timbre_words "$options"; return; }
  fi
  case $kind in
    voices) _timbre_voices ;;
    files) compopt -o default ;;
    models) _timbre_words '@MODELS@' ;;
    nothing) ;;
    *) _timbre_words "$kind" ;;
  esac
}

_timbre() { _timbre_after 1; }

_timbre_python() {
  if [[ ${COMP_WORDS[1]} == -m && ${COMP_WORDS[2]} == clone && COMP_CWORD -gt 2 ]]; then
    _timbre_after 3
  else
    COMPREPLY=()
    compopt -o bashdefault -o default
  fi
}

complete -F _timbre timbre
for _timbre_name in python python3; do
  complete -p "$_timbre_name" >/dev/null 2>&1 || complete -F _timbre_python "$_timbre_name"
done
unset _timbre_name
"""


def run(arguments: argparse.Namespace) -> None:
    """Print a shell's script, or the voices for it, one name or voice_id a line."""
    if arguments.shell != VOICES:
        print(bash_script(), end="")
        return
    for name in _names():
        print(name)


def bash_script() -> str:
    """Return the script for bash."""
    commands = _commands()
    values = {
        "COMMANDS": " ".join(commands),
        "MODELS": " ".join(MODELS),
        "VALUES": "\n".join(f"      {line}" for each in commands.items() for line in _values(*each)),
        "PLACES": "\n".join(f"      {line}" for each in commands.items() for line in _places(*each)),
        "OPTIONS": "\n".join(f"      {name}) options='{_options(each)}' ;;" for name, each in commands.items()),
        "PYTHON": shlex.quote(sys.executable),
        "ROOT": shlex.quote(str(ROOT)),
    }
    script = _BASH
    for name, value in values.items():
        script = script.replace(f"@{name}@", value)
    return script


def _names() -> Iterator[str]:
    """Yield names and voice_ids. The library alone is asked: Studio brings the engine's libraries, seconds of them."""
    settings = Settings.from_environment()
    if not settings.home.is_dir():
        return
    library = Library(settings, Store(settings.store_url))
    try:
        voices = library.voices(LOCAL_OWNER)
    finally:
        library.close()
    yield from dict.fromkeys(name for voice in voices for name in (voice.name, voice.voice_id) if sayable(name))


def _commands() -> dict[str, argparse.ArgumentParser]:
    (chosen,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    return dict(chosen.choices)


def _options(command: argparse.ArgumentParser) -> str:
    return " ".join(option for action in command._actions for option in action.option_strings if option[:2] == "--")


def _values(name: str, command: argparse.ArgumentParser) -> Iterator[str]:
    """Yield a line for each option that takes values: what kind, and how many."""
    for action in command._actions:
        n = action.nargs if isinstance(action.nargs, int) else 1
        if action.option_strings and n:
            written = "|".join(f"'{name} {option}'" for option in action.option_strings)
            yield f"{written}) kind='{_kind(action)}' n={n} ;;"


def _places(name: str, command: argparse.ArgumentParser) -> Iterator[str]:
    """Yield a line for each argument that goes by its place."""
    for i, action in enumerate(each for each in command._actions if not each.option_strings):
        place = "*" if action.nargs in ("*", "+") else str(i)
        yield f"'{name} '{place}) kind='{_kind(action)}' ;;"


def _kind(action: argparse.Action) -> str:
    if action.choices is not None:
        return " ".join(each for each in action.choices if each != VOICES)
    return _KINDS.get(str(action.metavar), NOTHING)
