"""The list of formats: every one can be opened, says what it expects, and knows its options."""

import dataclasses
from pathlib import Path

import pytest

from otter.build.sources import FORMATS, find_format, open_source, option_names
from otter.data import DataError


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_has_a_source_options_and_a_layout(name: str) -> None:
    spec = FORMATS[name]
    module = spec.load()
    source = getattr(module, spec.source)
    assert source.name == name
    assert dataclasses.is_dataclass(module.Options)
    assert "otter data import" in spec.layout()
    assert "What is expected on disk" in spec.layout()
    described = module.Options.__doc__.partition("Args:")[2]
    assert [name for name in option_names(name) if f" {name}: " not in described] == []


@pytest.mark.parametrize("name", ["e4d", "E4D", "ego4d", "Ego4D"])
def test_a_format_is_found_by_name_and_by_code(name: str) -> None:
    assert find_format(name)[0] == "ego4d"


def test_an_unknown_format_names_the_nearest() -> None:
    with pytest.raises(DataError, match=r"FORMAT = 'lava': .*\. Did you mean 'llava'\?"):
        find_format("lava")


def test_every_wrong_option_and_path_is_said_at_once(tmp_path: Path) -> None:
    options = {"imagse": "x", "fps": "many", "repeat_media": "perhaps", "frames": ""}
    with pytest.raises(DataError) as error:
        open_source("llava", [tmp_path / "no.json"], options)
    found = [str(problem) for problem in error.value.problems]
    names = ", ".join(option_names("llava"))
    step = "See `otter data formats llava`."
    assert found == [
        f"format llava: option = imagse: expected one of {names}. Did you mean 'images'?",
        f"format llava: fps = 'many': expected float. {step}",
        f"format llava: repeat_media = 'perhaps': expected true or false. {step}",
        f"the command: SRC = {tmp_path / 'no.json'}: expected a file or folder that exists. "
        "Check the path.",
    ]


def test_text_becomes_what_the_option_is(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("[]")
    given = {"images": "a,b", "media-root": "c", "fps": "0.5", "repeat-media": "yes"}
    options = open_source("llava", [path], given).options  # type: ignore[attr-defined]
    assert options.images == (Path("a"), Path("b"))
    assert (options.media_root, options.fps, options.repeat_media) == (Path("c"), 0.5, True)
    table = open_source("table", [path], {"map": "question=q, answer=a"})
    assert table.options.map == {"question": "q", "answer": "a"}  # type: ignore[attr-defined]
    with pytest.raises(DataError, match="map = 'q': expected pairs such as question=prompt"):
        open_source("table", [path], {"map": "q"})


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ({"fps": "0"}, "fps = 0.0: expected more than 0. Correct --option fps."),
        ({"frames": "-1"}, "frames = -1: expected more than 0. Correct --option frames."),
        ({"system": "no"}, "system = 'no': expected 'drop' or 'first'. Correct --option system."),
    ],
)
def test_values_that_make_no_sense_are_refused(
    tmp_path: Path, option: dict[str, str], expected: str
) -> None:
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(DataError) as error:
        open_source("llava", [tmp_path / "x.json"], option)
    assert str(error.value) == f"the command: {expected}"
