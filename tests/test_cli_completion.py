"""Tab, in a real bash: the script's answers word by word, and what a person sees."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

from clone.cli.app import app, main
from clone.cli.completion import script as script_for
from clone.contract.cloning import MODELS
from clone.core.settings import Settings
from clone.storage.files import Store
from clone.storage.voices import Library, utc_now
from tests.voices import FILES, make_voice

ROOT = Path(__file__).parent.parent
WITHIN_S = 30.0
FAR_FROM_HOME = "/"

Output = pytest.CaptureFixture[str]

DRIVE = """
compopt() { echo "compopt $*"; }
complete() { :; }
source "$1"
ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); "$start"; printf '%s\\n' "${COMPREPLY[@]}"; echo .; }
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "completion.bash"
    path.write_text(script_for("bash"))
    return path


@pytest.fixture(scope="module")
def inhabited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two voices in it, one with a name that a shell must be told carefully."""
    home = tmp_path_factory.mktemp("inhabited") / "home"
    settings = Settings.at(home)
    library = Library(settings, Store(settings.store_url))
    library.add(make_voice("voice_aa11", "local", name="Ben's $HOME café", created_at=utc_now()), FILES)
    library.add(make_voice("voice_ab22", "local", name="", created_at=utc_now()), FILES)
    library.add(make_voice("voice_ac33", "somebody", name="Somebody else", created_at=utc_now()), FILES)
    library.close()
    return home


@dataclass
class Tab:
    script: Path
    home: Path

    def __call__(self, *lines: list[str], start: str = "_timbre") -> list[list[str]]:
        """Return what each line's last word may become."""
        asks = "\n".join(shlex.join(["ask", *line]) for line in lines)
        done = subprocess.run(
            ["bash", "-c", f"{DRIVE}\nstart={start}\n{asks}", "bash", str(self.script)],
            env=environment(self.home),
            cwd=FAR_FROM_HOME,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        return [each.split() and each.strip("\n").split("\n") for each in done.stdout.split("\n.\n")][: len(lines)]


@pytest.fixture
def tab(script: Path, inhabited: Path) -> Tab:
    return Tab(script, inhabited)


def environment(home: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TIMBRE_HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "TERM": "dumb",
    }


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_process_prints_the_script(shell: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "clone", "completion", shell], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, script_for(shell), "")
    assert not re.search(r"@[A-Z]+@", done.stdout)


def test_a_shell_that_is_not_known_is_a_wrong_use(capsys: Output) -> None:
    with pytest.raises(SystemExit) as left:
        main(["completion", "tcsh"])
    assert left.value.code == 1
    assert "tcsh" in capsys.readouterr().err


def test_commands_and_options_are_completed(tab: Tab) -> None:
    commands, c, voices, all_options, some, _ = tab(
        ["timbre", ""],
        ["timbre", "c"],
        ["timbre", "voi"],
        ["timbre", "speak", "--"],
        ["timbre", "clone", "a.mp3", "--pro"],
        ["timbre"],
    )
    assert commands == [
        "clone",
        "speak",
        "check",
        "voices",
        "keep",
        "pending",
        "forget",
        "doctor",
        "models",
        "completion",
        "batch",
        "export",
        "import",
        "document",
        "scale",
    ]
    assert (c, voices) == (["clone", "check", "completion"], ["voices"])
    assert set(all_options) == {
        *("--help", "--model", "--out", "--format", "--speed", "--pitch", "--volume", "--language", "--json"),
    }
    assert some == ["--prompt-audio", "--prompt-text"]


def test_every_option_of_every_command_is_known(tab: Tab) -> None:
    helps = {
        name: help_of(name)
        for name in (
            *("clone", "speak", "check", "voices", "keep", "pending", "forget", "doctor", "models"),
            *("batch", "export", "import"),
        )
    }
    for name, found in zip(helps, tab(*(["timbre", name, "--"] for name in helps)), strict=True):
        declared = re.findall(r"^ +((?:-{1,2}[a-z-]+(?:, )?)+)", helps[name], re.MULTILINE)  # its other names, too
        assert set(found) == set(re.findall(r"--[a-z-]+", " ".join(declared)))


def help_of(command: str) -> str:
    program = typer.main.get_command(app)
    return program.commands[command].get_help(typer.Context(program))  # type: ignore[attr-defined]


def test_values_are_completed(tab: Tab) -> None:
    models, turbo, written_together, formats, shells = tab(
        ["timbre", "clone", "a.mp3", "--model", ""],
        ["timbre", "speak", "--model", "speech-2.8-t"],
        ["timbre", "speak", "voice", "--model", "=", "speech-2.8-t"],
        ["timbre", "speak", "voice", "--format", ""],
        ["timbre", "completion", ""],
    )
    assert models == list(MODELS)
    assert turbo == written_together == ["speech-2.8-turbo"]
    assert formats == ["wav", "mp3", "flac"]
    assert shells == ["bash", "zsh", "fish"]


def test_files_are_left_to_bash(tab: Tab) -> None:
    asked = (["clone", ""], ["clone", "a", "--out", "b"], ["check", "c"], ["clone", "--prompt-audio", ""])
    assert tab(*(["timbre", *words] for words in asked)) == [["compopt -o default"]] * 4


def test_free_words_are_not_completed(tab: Tab) -> None:
    asked = (
        ["speak", "voice", ""],
        ["clone", "a", "--text", ""],
        ["clone", "--stretch", "1", ""],
        ["clone", "a", ""],
        ["keep", "voice", ""],
        ["sing", ""],
    )
    assert tab(*(["timbre", *words] for words in asked)) == [[]] * 6


def test_voices_are_completed_by_id_and_name(tab: Tab) -> None:
    every, by_id, by_name, quoted, second = tab(
        ["timbre", "speak", ""],
        ["timbre", "keep", "voice_ab"],
        ["timbre", "forget", r"Ben\'s\ "],
        ["timbre", "speak", '"voice_aa'],
        ["timbre", "forget", "--yes", "voice_aa11", "voice_ab"],
    )
    assert every == ["voice_ab22", r"Ben\'s\ \$HOME\ café", "voice_aa11"]
    assert by_id == second == ["voice_ab22"]
    assert by_name == [r"Ben\'s\ \$HOME\ café"]
    assert quoted == ["voice_aa11"]


def test_a_name_that_quotes_would_change_is_not_put_between_them(tab: Tab) -> None:
    assert tab(["timbre", "speak", '"'], ["timbre", "speak", "'Ben"]) == [["voice_ab22", "voice_aa11"], []]


def test_no_home_is_made_by_a_tab(script: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert Tab(script, nowhere)(["timbre", "speak", ""]) == [[]]
    assert not nowhere.exists()


def test_neither_help_nor_tab_waits_for_the_engine(inhabited: Path) -> None:
    slow = "{'clone.studio', 'clone.engine', 'onnxruntime', 'gradio', 'rich'}"
    code = "import sys; from clone.cli import app, completion; print(completion.voices())"
    code = f"{code}; print({slow} & {{*sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(inhabited), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [str(["voice_ab22", "Ben's $HOME café", "voice_aa11"]), "set()"]


def test_after_python_only_this_program_is_completed(tab: Tab) -> None:
    assert tab(
        ["python", "-m", "clone", "voi"],
        [".venv/bin/python", "-m", "clone", "clone", "a", "--acc"],
        ["python", "-m", "cl"],
        ["python", "app"],
        start="_timbre_python",
    ) == [["voices"], ["--accuracy"], ["compopt -o bashdefault -o default"], ["compopt -o bashdefault -o default"]]


# other shells, where they are installed


@pytest.mark.parametrize(
    ("shell", "ask"),
    [
        (
            "zsh",
            "compdef() { :; }; compadd() { print -rl -- $found; }; source $0; words=(%s); CURRENT=$#words; _timbre",
        ),
        ("fish", "source $argv[1]; complete -C '%s'"),
    ],
)
def test_another_shell_completes(shell: str, ask: str, inhabited: Path, tmp_path: Path) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "script").write_text(script_for(shell))

    def found(line: str) -> list[str]:
        words = [shell, "-c", ask % line, str(tmp_path / "script")]
        env = os.environ | environment(inhabited)
        return subprocess.run(words, env=env, capture_output=True, text=True, check=True).stdout.splitlines()

    assert found("timbre che") == ["check"]
    assert found("timbre keep voice_ab") == ["voice_ab22"]
    assert found("timbre speak --model speech-2.8-t") == ["speech-2.8-turbo"]


# at a terminal


class Bash:
    """An interactive bash."""

    def __init__(self, script: Path, home: Path, folder: Path) -> None:
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:  # pragma: no cover  the child
            os.chdir(folder)
            os.execve("/bin/bash", ["bash", "--norc", "--noprofile", "-i"], environment(home))
        self.types(f"PS1='> '; source {script}; echo rea''dy\n", "ready\r\n> ")

    def types(self, keys: str, expected: str) -> str:
        """Return what is shown, once what is expected is."""
        os.write(self._terminal, keys.encode())
        shown = b""
        while expected.encode() not in shown:
            assert select.select([self._terminal], [], [], WITHIN_S)[0], shown.decode()
            shown += os.read(self._terminal, 1 << 16)
        return shown.decode()

    def leave(self) -> None:
        os.close(self._terminal)  # it hangs up
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


@pytest.fixture
def bash(script: Path, inhabited: Path, tmp_path: Path) -> Iterator[Bash]:
    (tmp_path / "my recording.mp3").write_bytes(b"")
    started = Bash(script, inhabited, tmp_path)
    yield started
    started.leave()


def test_a_person_presses_tab(bash: Bash) -> None:
    bash.types("timbre che\t", "timbre check ")
    bash.types("my\t", "my\\ recording.mp3 ")
    bash.types("\x15timbre speak Be\t", "timbre speak Ben\\'s\\ \\$HOME\\ café ")
    bash.types("hello --model speech-2.5-h\t", "speech-2.5-hd-preview ")
    bash.types('\x15timbre keep "voice_ab\t', 'timbre keep "voice_ab22" ')
    bash.types("\x15python -m clone forget voice_ab\t", "voice_ab22 ")
    bash.types("\x15cat my\t", "cat my\\ recording.mp3 ")


def test_the_command_runs_from_any_folder(bash: Bash) -> None:
    assert "voice_ab22" in bash.types("timbre completion voices | sort | tail -n 1; echo en''d\n", "end\r\n")
