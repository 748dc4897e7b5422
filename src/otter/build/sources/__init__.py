"""Where records and pictures come from: one file for each format, listed in :data:`FORMATS`.

A source names its pictures and yields its records; the engine, :mod:`otter.build.importing`, does
what they have in common: decoding in parallel, resizing, counting what is broken, resuming.
A new format is a module with two things, and a line in FORMATS:

    @dataclass(frozen=True)
    class Options:                  # what --option key=value can set; the types convert the text
        images: tuple[Path, ...] = ()
        split: str = "train"

    class MySource:
        name = "mine"

        def __init__(self, paths: Sequence[Path], **options: Any) -> None:
            self.paths, self.options, self.where = tuple(paths), Options(**options), ""

        def pictures(self) -> Iterator[PictureItem]:
            for path in sorted(self.options.images[0].iterdir()):
                yield PictureFile(path.stem, path)

        def records(self, frames: Mapping[str, tuple[str, ...]]) -> Iterator[Record | Problem]:
            self.where = str(self.paths[0])
            yield Record("1", "What is this?", "A cat.", media=(("cat",),))
"""

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from otter.build.options import convert_options
from otter.data.records import DataError, Problem, Record


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A picture on disk; a file that is not there counts as broken."""

    id: str
    path: Path


@dataclass(frozen=True, slots=True)
class PictureBytes:
    """A picture at hand: the contents of an image file, out of base64 text or an archive.

    Args:
        id: unique within the store.
        data: PNG, JPEG, WebP or any other raster format that :func:`otter.media.open_image` reads.
        where: the file it came out of, for messages.
    """

    id: str
    data: bytes
    where: str = ""


@dataclass(frozen=True, slots=True)
class ClipFrames:
    """Frames of a video file, decoded once, at import.

    ``ClipFrames("DC_IMG_v1", path, fps=1.0)`` gives the pictures ``DC_IMG_v1_0000`` (the first
    frame), ``DC_IMG_v1_0001`` (the first frame after one second) and so on.

    Args:
        id: names the clip; :meth:`Source.records` is told which pictures it became.
        path: the video file.
        fps: so many frames for each second of the video; None for an even spread.
        frames: at most so many, spread evenly; 8 where ``fps`` is None as well.
        start: in seconds, where the clip begins in the file.
        end: in seconds, where it ends.
        name: the form of the image ids, with ``{id}`` and ``{n}``, which counts from 0.
    """

    id: str
    path: Path
    fps: float | None = None
    frames: int | None = None
    start: float | None = None
    end: float | None = None
    name: str = "{id}_{n:04d}"


@dataclass(frozen=True, slots=True)
class VideoReference:
    """A video that the store only refers to; its frames are decoded whenever it is read.

    A record names it by its id alone, as if it were one picture.
    """

    id: str
    path: Path
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True, slots=True)
class BrokenPicture:
    """A picture that the source knows of and cannot hand over, such as broken base64 text."""

    id: str
    where: str
    reason: str


PictureItem: TypeAlias = PictureFile | PictureBytes | ClipFrames | VideoReference | BrokenPicture


class Source(Protocol):
    """What an importer is to the engine.

    Both methods start from the beginning whenever they are called, and yield the same things in
    the same order each time: that is what resuming an interrupted import relies on. Neither may
    hold all pictures in memory.

    A class may add ``picture_count() -> int | None``, which lets the progress bar say how much is
    left and must be cheap; and ``side_files() -> dict[str, Any]``, asked for after the records:
    values that are written as JSON files, by name, into the store.
    """

    @property
    def name(self) -> str:
        """The name of the format, as on the command line."""
        ...

    @property
    def where(self) -> str:
        """The file (or file and line) that the last yielded record came from, for messages."""
        ...

    def pictures(self) -> Iterator[PictureItem | Problem]:
        """Every picture and clip, in a stable order; a Problem where a whole file is damaged."""
        ...

    def records(self, frames: Mapping[str, tuple[str, ...]]) -> Iterator[Record | Problem]:
        """Every record; a Problem in the place of one that is wrong.

        Args:
            frames: for the id of each :class:`ClipFrames` the image ids that decoding gave, and for
                each :class:`VideoReference` its own id. A clip that could not be decoded is not in
                it: name the id of the clip itself in such a record's media, and it is left out and
                counted like any record whose picture is broken.
        """
        ...


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """A line of :data:`FORMATS`; the module is only imported when it is used.

    Args:
        module: its name within this package.
        source: the class in it.
        description: one line.
        code: the short name that the 2023 data had, such as "SD"; may stand for the name.
    """

    module: str
    source: str
    description: str
    code: str = ""

    def load(self) -> Any:
        """The module, with the source class and ``Options``."""
        return importlib.import_module(f"{__name__}.{self.module}")

    def layout(self) -> str:
        """What is expected on disk: the docstring of the module."""
        return inspect.cleandoc(self.load().__doc__ or "")


FORMATS: dict[str, SourceSpec] = {
    "mimicit": SourceSpec("mimicit", "MimicitSource", "MIMIC-IT: instructions, images, mixtures"),
    "llava": SourceSpec("llava", "LlavaSource", "LLaVA JSON: conversations about a picture"),
    "sharegpt": SourceSpec("sharegpt", "ShareGptSource", "ShareGPT conversations with images"),
    "messages": SourceSpec("messages", "MessagesSource", "OpenAI or Hugging Face chat messages"),
    "table": SourceSpec("table", "TableSource", "CSV, TSV or JSONL and a folder of pictures"),
    "hf-datasets": SourceSpec("hf_datasets", "HfDatasetsSource", "a `datasets` dataset on disk"),
    "webdataset": SourceSpec("webdataset", "WebDatasetSource", "tar shards of pictures and texts"),
    "mmc4": SourceSpec("mmc4", "Mmc4Source", "MMC4 documents: pictures between sentences"),
    "coco": SourceSpec("coco", "CocoSource", "COCO pictures with LLaVA-Instruct texts", "LA"),
    "vqav2": SourceSpec("vqav2", "Vqav2Source", "VQAv2: questions about COCO pictures", "VQAV2"),
    "spot-the-difference": SourceSpec(
        "spot_the_difference", "SpotTheDifferenceSource", "pairs of nearly equal pictures", "SD"
    ),
    "coco-general-difference": SourceSpec(
        "coco_general_difference", "CocoGeneralDifferenceSource", "pairs of COCO pictures", "CGD"
    ),
    "scannet": SourceSpec("scannet", "ScanNetSource", "views of rooms, for navigation", "SN"),
    "activitynet": SourceSpec(
        "activitynet", "ActivityNetSource", "ActivityNet videos with dense captions", "DC"
    ),
    "visual-storytelling": SourceSpec(
        "visual_storytelling", "VisualStorytellingSource", "albums told as stories", "VST"
    ),
    "tv-captions": SourceSpec("tv_captions", "TvCaptionsSource", "frames of TV shows", "TVC"),
    "ego4d": SourceSpec("ego4d", "Ego4dSource", "videos seen through the wearer's eyes", "E4D"),
}
"""Every format, by its name on the command line."""


def find_format(name: str) -> tuple[str, SourceSpec]:
    """The format of a name or 2023 code, in any case, with ``-`` or ``_``.

    Raises:
        DataError: there is no such format.
    """
    plain = name.lower().replace("_", "-")
    for known, spec in FORMATS.items():
        if plain in (known, spec.code.lower()):
            return known, spec
    near = difflib.get_close_matches(plain, FORMATS, n=1)
    expected = f"one of {', '.join(FORMATS)}"
    step = f"Did you mean {near[0]!r}?" if near else "See `otter data formats`."
    raise DataError([Problem("the command", "FORMAT", repr(name), expected, step)])


def open_source(
    name: str, paths: Sequence[Path | str], options: Mapping[str, Any] | None = None
) -> Source:
    """A source ready to import.

    Args:
        name: a key of :data:`FORMATS`.
        paths: the files or folders of the dataset.
        options: values for the fields of the format's ``Options``; text is converted to the type
            of the field, so ``{"fps": "0.5"}`` and ``{"fps": 0.5}`` are the same.

    Raises:
        DataError: no such format, path or option, with all problems at once.
    """
    known, spec = find_format(name)
    module = spec.load()
    values, problems = convert_options(module.Options, options or {}, known)
    chosen = [Path(path) for path in paths]
    for path in chosen:
        if not any(sign in str(path) for sign in "*{?[") and not path.exists():
            step = "Check the path."
            problems.append(
                Problem("the command", "SRC", str(path), "a file or folder that exists", step)
            )
    if problems:
        raise DataError(problems)
    build: Callable[..., Source] = getattr(module, spec.source)
    return build(chosen, **values)


def option_names(name: str) -> tuple[str, ...]:
    """The names of the options that a format has."""
    return tuple(field.name for field in fields(find_format(name)[1].load().Options))
