"""The shape of the package, kept by a test.

    prompt | recipe < media < model | data < build | train | evaluate | serve | convert | nano < cli

A part imports parts to its left, never to its right and never across a bar.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "otter"
ORDER = str(__doc__).splitlines()[2]
RANK = {
    part.strip(): rank for rank, band in enumerate(ORDER.split("<")) for part in band.split("|")
}

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
LONG_FUNCTIONS: dict[str, str] = {}
"""``file.py::function`` to the reason why it is longer than the others may be."""

VAGUE_NAMES = {"utils", "util", "common", "misc", "helpers", "helper", "tools", "base"}
WITHOUT_TORCH = {"prompt", "media", "recipe", "data"}
MARKERS = ("<image>", "<|endofchunk|>", "<answer>")

MODULES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}


def part_of(path: Path) -> str:
    """The chapter that a module belongs to: ``model`` for model/config.py."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def shown(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every dotted name that a module imports, at its head or inside a function, with the line."""
    package = ("otter", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((f"{stem}.{alias.name}", node.lineno) for alias in node.names)


def explanations(tree: ast.Module) -> set[int]:
    """The ids of the strings for people: docstrings, those below a field, error messages."""
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    raised = [node for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    return alone | {id(part) for error in raised for part in ast.walk(error)}


def test_imports_point_to_the_left() -> None:
    wrong = []
    for path in MODULES:
        part = part_of(path)
        for name, line in imports(path):
            head, _, rest = name.partition(".")
            target = rest.split(".")[0]
            if head != "otter" or target not in RANK or part not in RANK or target == part:
                continue
            if RANK[target] >= RANK[part]:
                wrong.append(f"{shown(path)}:{line} {part} imports {target}; the order is {ORDER}")
    assert not wrong, "\n".join(wrong)


def test_every_part_has_a_place_in_the_order() -> None:
    unknown = {part_of(path) for path in MODULES} - set(RANK) - {"__init__", "__main__"}
    assert not unknown, f"{sorted(unknown)} have no place in {ORDER}"


def test_files_and_functions_are_short() -> None:
    long = []
    for path in MODULES:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MAX_FILE_LINES:
            long.append(f"{shown(path)}: {lines} lines, {MAX_FILE_LINES} allowed; split it")
        for node in ast.walk(TREES[path]):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                key, length = f"{shown(path)}::{node.name}", function_lines(node)
                if length > MAX_FUNCTION_LINES and key not in LONG_FUNCTIONS:
                    long.append(f"{key}: {length} lines, {MAX_FUNCTION_LINES} allowed")
    assert not long, "\n".join(long)


def function_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring: nobody should be punished for explaining."""
    length = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node) and first.end_lineno:
        length -= first.end_lineno - first.lineno + 1
    return length


def test_modules_are_named_for_what_they_do_and_say_what_they_are_for() -> None:
    wrong = []
    for path in MODULES:
        vague = VAGUE_NAMES & {path.stem, *path.relative_to(PACKAGE).parent.parts}
        wrong += [
            f"{shown(path)}: '{name}' says that it is shared, not what it does" for name in vague
        ]
        if not ast.get_docstring(TREES[path]):
            wrong.append(f"{shown(path)}: starts without a docstring that says what it is for")
    assert not wrong, "\n".join(wrong)


def test_only_the_commands_print() -> None:
    printing = [
        f"{shown(path)}:{node.lineno}"
        for path in MODULES
        if part_of(path) != "cli"
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert not printing, f"print outside cli: {printing}"


def test_markers_are_spelled_in_prompt_py_only() -> None:
    spelled = []
    for path in MODULES:
        explained = explanations(TREES[path])
        spelled += [
            f"{shown(path)}:{node.lineno} {node.value!r}"
            for node in ast.walk(TREES[path])
            if part_of(path) != "prompt"
            and isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in explained
            and any(marker in node.value for marker in MARKERS)
        ]
    assert not spelled, "take the marker from otter.prompt:\n" + "\n".join(spelled)


def test_data_needs_no_torch() -> None:
    heavy = [
        f"{shown(path)}:{line} imports {name}"
        for path in MODULES
        if part_of(path) in WITHOUT_TORCH
        for name, line in imports(path)
        if name.split(".")[0] in {"torch", "transformers"}
    ]
    assert not heavy, "\n".join(heavy)


@pytest.mark.parametrize(
    "module", ["otter", "otter.prompt", "otter.media", "otter.recipe", "otter.cli"]
)
def test_light_modules_stay_light_when_imported(module: str) -> None:
    """The static test above cannot see what a third library brings along."""
    if not any(
        (PACKAGE / f"{module.removeprefix('otter').strip('.')}{end}").exists() for end in ENDS
    ):
        pytest.skip(f"{module} is not written yet")
    code = (
        f"import sys, {module}\n"
        "heavy = {'torch', 'transformers', 'datasets'} & set(sys.modules)\n"
        "assert not heavy, f'it imports {sorted(heavy)}'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


ENDS = (".py", "/__init__.py", "__init__.py")


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout")
    folder = re.compile(r"(?<![\w.~-])/(?:work|root|home|Users)/\w")
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue
        found += [f"{name}: {match.group()}…" for match in folder.finditer(text)]
    assert not found, "\n".join(found)
