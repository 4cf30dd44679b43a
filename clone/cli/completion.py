"""The shell's completion. Typer tells what a word may become; here are the shells' side of it, and the voices.

Typer's own scripts want a program on PATH, insert a name with spaces as several words, and offer files for any word.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from clone.contract.cloning import MODELS
from clone.contract.orders import LOCAL_OWNER
from clone.core.settings import Settings

ASKED = "_TIMBRE_COMPLETE"
"""The variable by which a script asks typer; the line and the place in it are in COMP_WORDS and COMP_CWORD."""
FILES = "\t"
"""At the end of a word: files may follow, which the shell knows best. No voice, model or option has a tab in it."""
ROOT = Path(__file__).parent.parent.parent

_ASK = f"{ASKED}=complete_bash PYTHONPATH=@ROOT@ @PYTHON@ -P -m clone completion words 2>/dev/null"
_TIMBRE = """# Completion for Timbre. In @RC@:  source <(cd @ROOT@ && @PYTHON@ -m clone completion @SHELL@)
# It also makes timbre, which is @PYTHON@ -m clone from any folder.

timbre() { PYTHONPATH=@ROOT@${PYTHONPATH:+:$PYTHONPATH} @PYTHON@ -P -m clone "$@"; }
"""
_BASH = r"""
# Completes the words after the first $1, which start the program. A name may have spaces in it: what is inserted is the
# name as the shell wants it written. Between quotes it goes in as it is, unless something in it means more there.
_timbre_after() {
  local cur=${COMP_WORDS[COMP_CWORD]} line=timbre n=1 word written
  COMPREPLY=()
  ((COMP_CWORD < $1)) && return
  [[ $cur == = ]] && cur=
  for word in "${COMP_WORDS[@]:$1:COMP_CWORD-$1}"; do
    [[ $word == = ]] || { line+=" $word"; ((n += 1)); }
  done
  while IFS= read -r word; do
    [[ $word == *$'\t' ]] && { compopt -o default; return; }
    printf -v written %q "$word"
    if [[ $cur == [\"\']* ]]; then
      [[ $word == *[\"\'\$\`\\!]* ]] && continue
      written=$word
    fi
    [[ $word ]] && COMPREPLY+=("$written")
  done < <(env COMP_WORDS="$line $cur" COMP_CWORD=$n @ASK@)
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
_ZSH = r"""
_timbre() {
  local -a found
  found=("${(@f)$(env COMP_WORDS="${(j: :)words[1,CURRENT]}" COMP_CWORD=$((CURRENT - 1)) @ASK@)}")
  if [[ $found[1] == *$'\t' ]]; then _files; elif [[ -n $found[1] ]]; then compadd -a found; fi
}

(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
compdef _timbre timbre
"""
_FISH = r"""# Completion for Timbre. In @RC@:  cd @ROOT@ && @PYTHON@ -m clone completion fish | source
# It also makes timbre, which is @PYTHON@ -m clone from any folder.

function timbre; env PYTHONPATH=@ROOT@ @PYTHON@ -P -m clone $argv; end

function _timbre
  set -l line (commandline -cp | string collect)
  set -l found (env COMP_WORDS=$line COMP_CWORD=(count (commandline -opc)) @ASK@)
  if string match -q -- '*'\t $found[1]; __fish_complete_path (commandline -ct); else; string join \n -- $found; end
end

complete -c timbre -f -a '(_timbre)'
"""
SCRIPTS = {
    "bash": ("~/.bashrc", _TIMBRE + _BASH),
    "zsh": ("~/.zshrc", _TIMBRE + _ZSH),
    "fish": ("~/.config/fish/config.fish", _FISH),
}
"""By the shell's name: the file that it reads at its start, and its script."""


def script(shell: str) -> str:
    """Return what a shell sources: ``timbre`` for this program, and Tab after it."""
    rc, text = SCRIPTS[shell]
    values = {
        "ASK": _ASK,
        "RC": rc,
        "SHELL": shell,
        "PYTHON": shlex.quote(sys.executable),
        "ROOT": shlex.quote(str(ROOT)),
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def voices() -> list[str]:
    """Return names and voice_ids. The library alone is asked: Studio brings the engine's libraries, seconds of them."""
    from clone.storage.files import Store
    from clone.storage.voice import sayable
    from clone.storage.voices import Library

    settings = Settings.from_environment()
    if not settings.home.is_dir():
        return []
    library = Library(settings, Store(settings.store_url))
    try:
        names = [name for voice in library.voices(LOCAL_OWNER) for name in (voice.name, voice.voice_id)]
    finally:
        library.close()
    return [name for name in dict.fromkeys(names) if sayable(name)]


def models() -> list[str]:
    """Return the models of the contract; another one is refused by it, not here."""
    return list(MODELS)


def files(incomplete: str) -> list[str]:
    """Leave a word to the shell."""
    return [incomplete + FILES]
