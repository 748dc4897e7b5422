"""``otter data check | show | report | export``: what they print, write, and exit with."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.build.stores import row, write_pets, write_raw
from typer.testing import CliRunner, Result

from otter.cli.data_check import check
from otter.cli.data_export import export
from otter.cli.data_report import report
from otter.cli.data_show import show

app = typer.Typer(rich_markup_mode=None)
for name, command in (("check", check), ("show", show), ("report", report), ("export", export)):
    app.command(name)(command)


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def pets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_pets(tmp_path / "pets")
    return tmp_path / "pets"


def test_check_exits_with_0_for_a_sound_store(pets: Path) -> None:
    result = run("check", pets)
    assert result.exit_code == 0, result.output
    assert "7 records, 6 pictures (6 decoded)" in result.output
    assert result.output.endswith("fit for use.\n")


def test_check_exits_with_1_and_names_record_field_and_next_step(tmp_path: Path) -> None:
    rows = [row(f"R{n}", answer="") for n in range(5)]
    result = run("check", write_raw(tmp_path / "store", rows))
    assert result.exit_code == 1
    assert "problem: an answer is blank (5×)" in result.output
    assert "  record 'R0': answer = ''" in result.output
    assert "  and 2 more" in result.output
    assert "Leave the record out, or give the answer." in result.output
    assert result.output.endswith("unfit for use: 5 problems.\n")


def test_check_prints_json(tmp_path: Path) -> None:
    result = run("check", write_raw(tmp_path / "store", [row("R", answer="")]), "--json")
    assert result.exit_code == 1
    assert json.loads(result.output)["problems"][0]["places"][0]["record"] == "record 'R'"


def test_remarks_fail_a_check_only_when_it_is_strict(tmp_path: Path) -> None:
    folder = write_raw(tmp_path / "store", [row("A", answer="What is in picture A?")])
    assert run("check", folder).exit_code == 0
    assert run("check", folder, "--strict").exit_code == 1


def test_show_writes_a_page_beside_oneself_or_where_it_is_told(pets: Path) -> None:
    result = run("show", pets, "--n", 3)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("pets-show.html: 3 of 7 records")
    result = run("show", pets, "CLIP", "0", "--out", "here/page.html")
    assert result.exit_code == 0, result.output
    assert 'id="row-4"' in Path("here/page.html").read_text(encoding="utf-8")


def test_show_names_what_it_cannot_find(pets: Path) -> None:
    result = run("show", pets, "DOG")
    assert result.exit_code == 2
    assert "'DOG': expected the id of a record" in result.output
    result = run("show", pets, "--task", "dogs")
    assert "task = 'dogs': expected one of 'cats', 'pairs'" in result.output


def test_report_writes_page_and_figures(pets: Path) -> None:
    result = run("report", pets)
    assert result.exit_code == 0, result.output
    assert "7 records about 6 pictures, 2 with worked examples" in result.output
    assert sorted(path.name for path in Path("pets-report").iterdir()) == [
        "report.html",
        "report.json",
    ]


def test_export_says_what_was_lost_and_how_to_read_it_again(pets: Path) -> None:
    result = run("export", pets, "--format", "llava", "--out", "out")
    assert result.exit_code == 0, result.output
    assert "out: 7 records, 6 pictures as llava" in result.output
    assert "        2  worked examples are not kept" in result.output
    assert (
        "To read it again: otter data import llava out/train/*.json --images out/media --out STORE"
        in result.output
    )
    result = run("export", pets, "--format", "llava", "--out", "out")
    assert result.exit_code == 2
    assert "exists already" in result.output


@pytest.mark.parametrize("command", ["check", "show", "report", "export"])
def test_a_folder_that_is_no_store_is_said_in_one_line(command: str, tmp_path: Path) -> None:
    more = ("--format", "llava", "--out", tmp_path / "out") if command == "export" else ()
    result = run(command, tmp_path / "nothing", *more)
    assert result.exit_code == 2
    assert "no such folder: expected the folder of a store" in result.output
    assert "Traceback" not in result.output
