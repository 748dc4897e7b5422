"""Any dataset of the `datasets` library that is on this disk.

What is expected on disk: a folder that ``save_to_disk`` wrote, a folder that ``load_dataset`` reads
(parquet, JSON or CSV files, pictures with a metadata.csv), or a single parquet or Arrow file,

    otter data import hf-datasets my-dataset --map question=prompt,answer=label,image=photo --out s

Nothing is fetched: ``snapshot_download`` a dataset of the Hub first, and name its folder. Columns
with usual names (question, answer, image, messages, ...) are found without ``--map``, whose keys
are those of the format ``table``; ``answer=answers.text`` leads into a nested column. Pictures are
read from columns of the feature Image, or of lists of it, with their bytes as they are, and from
paths below ``--images``. A class label becomes its name; of a list of answers the most frequent is
taken. A column of chat messages, LLaVA turns or ``{"user", "assistant"}`` pairs becomes a record
for each question. The split of a record is that of the dataset; ``--option only=train`` takes only
that.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otter.build.sources import PictureItem
from otter.build.sources.columns import ColumnSettings, choose_columns, conversation_of
from otter.build.sources.conversations import Conversation, Conversations, ConversationSettings
from otter.build.sources.media_files import MediaFiles, folders_of
from otter.data.records import Problem, Record

BATCH_ROWS = 32
_STEP = "See whether `datasets.load_dataset` reads it."


@dataclass(frozen=True)
class Options:
    """What can be set.

    Args:
        images: folders that paths of pictures start from.
        media_root: one more of them.
        split: of all records, instead of that of the dataset.
        map: which column is what.
        only: the splits to take; all where empty.
        task: of all records, instead of the name of the folder.
        language: of all records.
        question: asked in every row, where no column has the question.
        one_medium: the pictures of a row are the frames of one medium.
    """

    images: tuple[Path, ...] = ()
    media_root: Path | None = None
    split: str = ""
    map: dict[str, str] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    task: str = ""
    language: str = "en"
    question: str = ""
    one_medium: bool = False


class HfDatasetsSource:
    """A dataset of the `datasets` library as a source."""

    name = "hf-datasets"

    def __init__(self, paths: Sequence[Path], **options: Any) -> None:
        self.options = Options(**options)
        self.paths = [Path(path) for path in paths]
        folders = folders_of(self.options.images, self.options.media_root, self.paths)
        settings = ConversationSettings(language=self.options.language, number_repeats=False)
        self._conversations = Conversations(self._read, MediaFiles(folders), settings)

    @property
    def where(self) -> str:
        """Where the last record came from."""
        return self._conversations.where

    def pictures(self) -> Iterator[PictureItem | Problem]:
        """Every picture once."""
        yield from self._conversations.pictures()

    def records(self, frames: Mapping[str, tuple[str, ...]]) -> Iterator[Record | Problem]:
        """A record for each row, or for each question of its messages."""
        yield from self._conversations.records(frames)

    def _read(self) -> Iterator[Conversation | Problem]:
        for path in self.paths:
            try:
                parts = _load(path)
            except ImportError:
                raise
            except Exception as error:  # whatever the library and its readers raise
                yield Problem(str(path), "", _line(error), "a dataset", _STEP)
                continue
            for split, dataset in parts.items():
                if not self.options.only or split in self.options.only:
                    yield from self._rows(path, split, dataset)

    def _rows(self, path: Path, split: str, dataset: Any) -> Iterator[Conversation | Problem]:
        place = f"{path}/{split}" if split else str(path)
        settings = ColumnSettings(
            self.options.map,
            self.options.question,
            "",
            self.options.one_medium,
            self.options.task or path.stem,
        )
        names = dataset.column_names or list(dataset.features or ())
        columns = choose_columns(settings, names, place)
        if isinstance(columns, list):
            yield from columns
            return
        labels = _class_names(dataset.features)
        number = 0
        try:
            for batch in dataset.with_format("arrow").iter(BATCH_ROWS):
                for row in batch.to_pylist():
                    for column, known in labels.items():
                        row[column] = _label(known, row.get(column))
                    found = conversation_of(row, columns, settings, f"{place}[{number}]")
                    number += 1
                    if isinstance(found, Conversation):
                        found.split = self.options.split or found.split or split or "train"
                        # The ids that datasets have are often numbers, the same in each split.
                        found.id = found.id or f"{path.stem}-{split or 'rows'}-{number - 1}"
                    yield found
        except Exception as error:  # a damaged file may show anywhere, and as anything
            yield Problem(f"{place}[{number}]", "", _line(error), "a dataset to its end", _STEP)


def _load(path: Path) -> dict[str, Any]:
    """The splits of a dataset, read where they are, without the library's cache."""
    try:
        import datasets  # type: ignore[import-untyped]
    except ImportError as error:
        raise ImportError(
            f"reading {path} needs the library datasets: run `pip install datasets`"
        ) from error
    if path.suffix == ".arrow":
        return {"": datasets.Dataset.from_file(str(path))}
    if path.is_file():
        kind = {".jsonl": "json"}.get(path.suffix, path.suffix.lstrip("."))
        loaded = datasets.load_dataset(kind, data_files=str(path), split="train", streaming=True)
        return {"": loaded}
    if (path / "dataset_dict.json").exists() or (path / "state.json").exists():
        loaded = datasets.load_from_disk(str(path))
    else:
        loaded = datasets.load_dataset(str(path), streaming=True)
    return dict(loaded) if isinstance(loaded, dict) else {"": loaded}


def _class_names(features: Any) -> dict[str, list[str]]:
    """For each column of class labels their names."""
    return {
        name: list(feature.names)
        for name, feature in (features or {}).items()
        if type(feature).__name__ == "ClassLabel"
    }


def _label(names: list[str], value: Any) -> Any:
    is_label = isinstance(value, int) and 0 <= value < len(names)
    return names[value] if is_label else None if value == -1 else value


def _line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."
