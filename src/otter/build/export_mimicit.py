"""Writing MIMIC-IT, the format of 2023.

    out/images.json                       {"LA_IMG_7": "<base64>", ...}, every picture in use
    out/train/LA_instructions.json        the records of a task, one folder for each split
    out/train/LA_train.json               {"LA_INS_1": ["LA_INS_5"], ...}, their examples
    out/train/mixture.yaml                names all of them; to import, give this file

A record has one medium there, whose frames are its pictures, and no fields for source, language,
weight. A video becomes the frames that the store shows of it.
"""

import base64
import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from otter.build.export_files import UNNAMED, TextFiles, file_name, to_json
from otter.data import DataError, Store, StoredRecord

IMAGES = "images.json"
_META = {"version": "1", "time": "", "author": "otter data export"}


class MimicitExport:
    """Writes MIMIC-IT files, which have a place for worked examples in any case."""

    def __init__(self, store: Store, folder: Path, *, examples: bool = False) -> None:
        self.store, self.folder = store, folder
        self.lost: Counter[str] = Counter()
        self.left_out = 0
        self.pictures = 0
        self._written: set[int] = set()
        self._frames: dict[int, list[str] | None] = {}
        self._groups: dict[str, dict[str, set[str]]] = {}

    def write(self, on_progress: Callable[[str, int, int], None]) -> None:
        """Writes pictures and records together, in one pass over the records."""
        head = f'{{"meta": {to_json(_META)}, "data": {{\n'
        with (
            TextFiles(self.folder, "{\n", ",\n", "\n}\n") as self._images,
            TextFiles(self.folder, head, ",\n", "\n}}\n") as instructions,
            TextFiles(self.folder, "{\n", ",\n", "\n}\n") as trains,
        ):
            for row in range(len(self.store)):
                record = self.store.record(row)
                images = self._image_ids(record)
                if images is None:
                    self.left_out += 1
                    self.lost["records left out: a video cannot be read"] += 1
                else:
                    self._add(record, images, instructions, trains)
                if row % 1000 == 999:
                    on_progress("records", row + 1, len(self.store))
        if not (self.folder / IMAGES).exists():
            (self.folder / IMAGES).write_text("{}\n", encoding="utf-8")
        for split, tasks in self._groups.items():
            self._write_mixture(split, tasks)
        self.pictures = len(self._written)

    def read_again(self, folder: Path) -> str:
        """The command that imports the training part."""
        split = "train" if "train" in self._groups else next(iter(self._groups), "train")
        mixture = folder / file_name(split) / "mixture.yaml"
        return f"otter data import mimicit {mixture} --out STORE"

    def _add(
        self, record: StoredRecord, images: list[str], instructions: TextFiles, trains: TextFiles
    ) -> None:
        related = [self.store.record(other).id for other in record.related]
        value = {
            "instruction": record.instruction,
            "answer": record.answer,
            "image_ids": images,
            "rel_ins_ids": related,
        }
        task = record.task or UNNAMED
        stem = f"{file_name(record.split)}/{file_name(task).replace('/', '%2F')}"
        key = to_json(record.id)
        instructions.add(f"{stem}_instructions.json", f"{key}: {to_json(value)}")
        trains.add(f"{stem}_train.json", f"{key}: {to_json(related)}")
        seen = self._groups.setdefault(record.split, {}).setdefault(task, set())
        seen.update(
            name
            for name, holds in (("media", images), ("clip", len(images) > 2), ("related", related))
            if holds
        )
        self._count_losses(record)

    def _count_losses(self, record: StoredRecord) -> None:
        for words, holds in (
            ("several media become the frames of one", len(record.media) > 1),
            ("sources are not kept", record.source not in ("", "mimicit")),
            ("languages are not kept", record.language != "en"),
            ("weights are not kept", record.weight != 1),
            ("splits are folders, imported one by one", record.split != "train"),
            (f"records without a task get the task {UNNAMED!r}", not record.task),
        ):
            if holds:
                self.lost[words] += 1

    def _image_ids(self, record: StoredRecord) -> list[str] | None:
        """The pictures of a record, written where they were not; None where a video is lost."""
        names: list[str] = []
        for row in (row for medium in record.media for row in medium):
            if row >= 0:
                names.append(self._image(row))
                continue
            frames = self._video(~row)
            if frames is None:
                return None
            names += frames
        return names

    def _image(self, row: int) -> str:
        name = self.store.image_id(row)
        if row not in self._written:
            self._written.add(row)
            self._add_image(name, self.store.image_bytes(row))
        return name

    def _video(self, row: int) -> list[str] | None:
        if row not in self._frames:
            name = self.store.video(row).id
            try:
                pictures = self.store.video_frames(row)
            except (DataError, ImportError):
                self._frames[row] = None
                return None
            self._frames[row] = names = [f"{name}_{n:04d}" for n in range(len(pictures))]
            for frame, picture in zip(names, pictures, strict=True):
                buffer = io.BytesIO()
                picture.save(buffer, "PNG")
                self._add_image(frame, buffer.getvalue())
            self.lost["videos become the frames that the store shows of them"] += 1
        return self._frames[row]

    def _add_image(self, name: str, data: bytes) -> None:
        text = base64.b64encode(data).decode("ascii")
        self._images.add(IMAGES, f'{to_json(name)}: "{text}"')

    def _write_mixture(self, split: str, tasks: dict[str, set[str]]) -> None:
        groups: dict[str, list[str]] = {}
        for task, seen in tasks.items():
            stem = file_name(task).replace("/", "%2F")
            if "media" not in seen:
                group = "TEXT_ONLY"
            elif "clip" in seen:
                group = "VIDEO_TEXT"
            else:
                group = "IMAGE_TEXT_IN_CONTEXT" if "related" in seen else "IMAGE_TEXT"
            lines = [
                f"  {to_json(task)}:",
                f"    mimicit_path: {to_json(f'{stem}_instructions.json')}",
                f"    images_path: ../{IMAGES}",
                f"    train_config_path: {to_json(f'{stem}_train.json')}",
            ]
            groups.setdefault(group, []).extend(lines)
        text = "".join(
            f"{group}:\n" + "".join(f"{line}\n" for line in lines)
            for group, lines in groups.items()
        )
        (self.folder / file_name(split) / "mixture.yaml").write_text(text, encoding="utf-8")
