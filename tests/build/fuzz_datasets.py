"""Small sound datasets in many formats, in pieces of which it is known what hangs on them."""

import base64
import csv
import gzip
import io
import json
import random
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

RECORDS = 6
NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Entry:
    """What stands for a record, a conversation or a picture in a file.

    Args:
        value: a JSON value, a list of cells, or the bytes of a member.
        records: what is lost if this is.
        key: of a JSON object, or the name of a member.
        pictures: ids of the pictures that it is or names.
    """

    value: Any
    records: frozenset[str]
    key: str = ""
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True)
class File:
    """A file of entries.

    Args:
        kind: "array", "lines", "object", "data" (an object within an object), "csv", "tar", or
            "blob" for bytes that nothing is known about.
        entries: in order; a blob has one.
        head: of a CSV file, the first line; of an array, the name that it has in an object.
    """

    kind: str
    entries: tuple[Entry, ...]
    head: tuple[str, ...] = ()

    @property
    def records(self) -> frozenset[str]:
        """All that hangs on the file."""
        return NOBODY.union(*(entry.records for entry in self.entries))


@dataclass(frozen=True)
class Piece:
    """Bytes of a file; ``follows``: whether what comes behind may be lost with them."""

    data: bytes
    records: frozenset[str]
    follows: bool = False


@dataclass(frozen=True)
class Dataset:
    """A dataset that imports without any problem.

    Args:
        name: of the dataset.
        format: as on the command line.
        files: by their paths.
        sources: which of them are named on the command line.
        options: of the format; a value that is one of the files or folders is a path.
        repeats: whether records may share an id.
        numbered: whether records are named by the number of their line, and what has no picture is
            passed over without a word.
    """

    name: str
    format: str
    files: Mapping[str, File]
    sources: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)
    repeats: bool = False
    numbered: bool = False

    def with_file(self, path: str, file: File) -> "Dataset":
        """The same with another file."""
        return replace(self, files={**self.files, path: file})

    def write(self, folder: Path, changed: Mapping[str, bytes] | None = None) -> None:
        """Writes the files, some of them as they were changed."""
        for path, file in self.files.items():
            data = (changed or {}).get(path)
            if data is None:
                data = b"".join(piece.data for piece in pieces(file))
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)


def pieces(file: File) -> list[Piece]:
    """A file as bytes, piece by piece."""
    return _ENCODERS[file.kind](file)


def _dump(value: Any) -> bytes:
    return json.dumps(value).encode()


def _array(file: File) -> list[Piece]:
    values = [_dump(entry.value) for entry in file.entries]
    if file.head:
        return _joined(b'{"' + file.head[0].encode() + b'": [', values, b"]}", file)
    return _joined(b"[", values, b"]", file)


def _object(file: File, head: bytes = b"{", tail: bytes = b"}") -> list[Piece]:
    values = [_dump(entry.key) + b": " + _dump(entry.value) for entry in file.entries]
    return _joined(head, values, tail, file)


def _data(file: File) -> list[Piece]:
    return _object(file, b'{"meta": {"version": "0.0.1"}, "data": {', b"}}")


def _joined(head: bytes, values: list[bytes], tail: bytes, file: File) -> list[Piece]:
    made = [Piece(head, file.records, True)]
    for number, (value, entry) in enumerate(zip(values, file.entries, strict=True)):
        made.append(Piece((b",\n" if number else b"") + value, entry.records, True))
    return [*made, Piece(tail, NOBODY, True)]


def _lines(file: File) -> list[Piece]:
    return [Piece(_dump(entry.value) + b"\n", entry.records) for entry in file.entries]


def _csv(file: File) -> list[Piece]:
    head = Piece(_row(file.head), file.records, True)
    return [head, *(Piece(_row(entry.value), entry.records) for entry in file.entries)]


def _row(cells: Iterable[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode("utf-8", "surrogateescape")


def _tar(file: File) -> list[Piece]:
    made = []
    for entry in file.entries:
        info = tarfile.TarInfo(entry.key)
        info.size = len(entry.value)
        made.append(Piece(info.tobuf(), entry.records, True))
        padding = -len(entry.value) % tarfile.BLOCKSIZE
        made.append(Piece(entry.value + bytes(padding), entry.records))
    return [*made, Piece(bytes(2 * tarfile.BLOCKSIZE), NOBODY)]


def _blob(file: File) -> list[Piece]:
    return [Piece(entry.value, entry.records, True) for entry in file.entries]


_ENCODERS: dict[str, Callable[[File], list[Piece]]] = {
    "array": _array,
    "lines": _lines,
    "object": _object,
    "data": _data,
    "csv": _csv,
    "tar": _tar,
    "blob": _blob,
}


@cache
def picture(number: int, kind: str = "PNG") -> bytes:
    """A small picture that no other is."""
    buffer = io.BytesIO()
    image = Image.new("RGB", (16, 12), (30 * number % 256, 255 - 20 * number, 7 * number % 256))
    image.putpixel((number % 16, 3), (255, 255, 255))
    image.save(buffer, kind)
    return buffer.getvalue()


@cache
def noise(number: int) -> bytes:
    """A picture of 30 KB, which cannot be compressed."""
    buffer = io.BytesIO()
    data = random.Random(number).randbytes(100 * 100 * 3)
    Image.frombytes("RGB", (100, 100), data).save(buffer, "PNG")
    return buffer.getvalue()


@cache
def video() -> bytes:
    """A video of ten frames."""
    import av
    import numpy as np

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for n in range(10):
            values = np.full((32, 32, 3), 20 * n, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(values, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def _one(name: str) -> frozenset[str]:
    return frozenset([name])


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _picture_files(folder: str, records: Callable[[int], frozenset[str]]) -> dict[str, File]:
    kinds = ("PNG", "JPEG")
    found = {}
    for n in range(RECORDS):
        name = f"{n}.{('png', 'jpg')[n % 2]}"
        entry = Entry(picture(n, kinds[n % 2]), records(n), pictures=(name,))
        found[f"{folder}/{name}"] = File("blob", (entry,))
    return found


def _named(n: int) -> str:
    return f"{n}.{('png', 'jpg')[n % 2]}"


def _mimicit() -> Dataset:
    names = [f"LA_INS_{n}" for n in range(RECORDS)]
    instructions = tuple(
        Entry(
            {
                "instruction": f"What is it in {n}?",
                "answer": f"Thing number {n}.",
                "image_ids": [f"LA_IMG_{n}"] if n % 3 else [f"LA_IMG_{n}", f"LA_IMG_{n + 1}"],
                "rel_ins_ids": [names[(n + 1) % RECORDS]],
            },
            _one(name),
            name,
        )
        for n, name in enumerate(names)
    )
    images = tuple(
        Entry(_text(picture(n)), users, f"LA_IMG_{n}", (f"LA_IMG_{n}",))
        for n in range(RECORDS)
        for users in [frozenset({names[n]} | ({names[n - 1]} if n % 3 == 1 else set()))]
    )
    files = {"LA_instructions.json": File("data", instructions), "LA.json": File("object", images)}
    return Dataset("mimicit", "mimicit", files, ("LA_instructions.json",), {"images": "LA.json"})


def _mimicit_train() -> Dataset:
    plain = _mimicit()
    lists = tuple(
        Entry([f"LA_INS_{(n + 2) % RECORDS}"], _one(name), name)
        for n, name in enumerate(f"LA_INS_{n}" for n in range(RECORDS))
    )
    files = {**plain.files, "LA_train.json": File("object", lists)}
    options = {"images": "LA.json", "train": "LA_train.json"}
    return Dataset("mimicit-train", "mimicit", files, plain.sources, options)


def _mimicit_mixture() -> Dataset:
    plain = _mimicit()
    everything = frozenset(f"LA_INS_{n}" for n in range(RECORDS))
    text = (
        "IMAGE_TEXT_IN_CONTEXT:\n  LADD:\n    mimicit_path: LA_instructions.json\n"
        "    images_path: LA.json\n    num_samples: 4\n"
    )
    files = {**plain.files, "mixture.yaml": File("blob", (Entry(text.encode(), everything),))}
    return Dataset("mimicit-mixture", "mimicit", files, ("mixture.yaml",))


def _mimicit_parquet() -> Dataset:
    import pyarrow as pa
    import pyarrow.parquet as pq

    plain = _mimicit()
    columns = {
        "base64": [entry.value for entry in plain.files["LA.json"].entries],
        "__index_level_0__": [entry.key for entry in plain.files["LA.json"].entries],
    }
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, row_group_size=2)
    everything = frozenset(f"LA_INS_{n}" for n in range(RECORDS))
    files = {
        "LA_instructions.json": plain.files["LA_instructions.json"],
        "LA.parquet": File("blob", (Entry(buffer.getvalue(), everything),)),
    }
    options = {"images": "LA.parquet"}
    return Dataset("mimicit-parquet", "mimicit", files, plain.sources, options)


def _chat_records(n: int) -> frozenset[str]:
    return frozenset({f"c{n}_0", f"c{n}_1"}) if n % 2 else _one(f"c{n}")


def _llava(kind: str) -> Dataset:
    entries = []
    for n in range(RECORDS):
        turns = [
            {"from": "human", "value": f"<image>\nWhat is it in {n}?"},
            {"from": "gpt", "value": f"Thing number {n}."},
        ]
        if n % 2:
            turns += [
                {"from": "human", "value": f"And what colour is {n}?"},
                {"from": "gpt", "value": f"Colour {n}."},
            ]
        value = {"id": f"c{n}", "image": _named(n), "conversations": turns}
        entries.append(Entry(value, _chat_records(n), pictures=(_named(n),)))
    files = {"chats.json": File(kind, tuple(entries)), **_picture_files("photos", _chat_records)}
    options = {"images": "photos"}
    return Dataset(f"llava-{kind}", "llava", files, ("chats.json",), options, repeats=True)


def _llava_video(options: Mapping[str, str]) -> Dataset:
    entries, files = [], {}
    for n in range(3):
        turns = [
            {"from": "human", "value": f"<video>\nWhat happens in {n}?"},
            {"from": "gpt", "value": f"Event number {n}."},
        ]
        value = {"id": f"v{n}", "video": f"{n}.mp4", "conversations": turns}
        entries.append(Entry(value, _one(f"v{n}"), pictures=(f"{n}.mp4",)))
        clip = Entry(video(), _one(f"v{n}"), pictures=(f"{n}.mp4",))
        files[f"clips/{n}.mp4"] = File("blob", (clip,))
    files["chats.json"] = File("array", tuple(entries))
    chosen = {"images": "clips", **options}
    name = "llava-clips" if options else "llava-videos"
    return Dataset(name, "llava", files, ("chats.json",), chosen, repeats=True)


def _sharegpt() -> Dataset:
    entries = []
    for n in range(RECORDS):
        turns = [
            {"from": "human", "value": f"<image>What is it in {n}?"},
            {"from": "gpt", "value": f"Thing number {n}."},
        ]
        value = {"id": f"s{n}", "conversations": turns, "images": [_named(n)]}
        entries.append(Entry(value, _one(f"s{n}"), pictures=(_named(n),)))
    pictures = _picture_files("photos", lambda n: _one(f"s{n}"))
    files = {"chats.json": File("array", tuple(entries)), **pictures}
    options = {"images": "photos"}
    return Dataset("sharegpt", "sharegpt", files, ("chats.json",), options, repeats=True)


def _messages() -> Dataset:
    entries = []
    for n in range(RECORDS):
        address = {"url": f"data:image/png;base64,{_text(picture(n))}"}
        content = [
            {"type": "image_url", "image_url": address},
            {"type": "text", "text": f"What is it in {n}?"},
        ]
        messages = [
            {"role": "user", "content": content},
            {"role": "assistant", "content": f"Thing number {n}."},
        ]
        entries.append(Entry({"id": f"m{n}", "messages": messages}, _one(f"m{n}")))
    files = {"chats.jsonl": File("lines", tuple(entries))}
    return Dataset("messages", "messages", files, ("chats.jsonl",), repeats=True)


def _table(kind: str) -> Dataset:
    head = ("id", "question", "answer", "image")
    entries = []
    for n in range(RECORDS):
        cells = [f"t{n}", f"What is it, in {n}?", f'A "thing" number {n}.', _named(n)]
        value = cells if kind == "csv" else dict(zip(head, cells, strict=True))
        entries.append(Entry(value, _one(f"t{n}"), pictures=(_named(n),)))
    path = "table.csv" if kind == "csv" else "table.jsonl"
    pictures = _picture_files("photos", lambda n: _one(f"t{n}"))
    files = {path: File(kind, tuple(entries), head), **pictures}
    return Dataset(f"table-{kind}", "table", files, (path,), {"images": "photos"})


def _webdataset(*, is_large: bool = False) -> Dataset:
    entries = []
    for n in range(RECORDS):
        name = _one(f"shard/{n:04d}")
        suffix = ("png", "jpg")[n % 2]
        data = noise(n) if is_large else picture(n, ("PNG", "JPEG")[n % 2])
        shown = Entry(data, name, f"{n:04d}.{suffix}")
        said: bytes = f"Thing number {n}.".encode()
        if n % 3 == 0:
            said = _dump({"question": f"What is it in {n}?", "answer": f"Thing number {n}."})
        entries += [shown, Entry(said, name, f"{n:04d}.{'json' if n % 3 == 0 else 'txt'}")]
    return Dataset(
        "webdataset", "webdataset", {"shard.tar": File("tar", tuple(entries))}, ("shard.tar",)
    )


def _mmc4() -> Dataset:
    entries = []
    for n in range(RECORDS):
        infos = [
            {"image_base64": _text(picture(n)), "matched_text_index": 1, "matched_sim": 0.4},
            {"image_name": "none.jpg", "matched_text_index": 0, "matched_sim": 0.1},
        ]
        value = {"text_list": [f"Before {n}.", f"It is {n}.", "After."], "image_info": infos}
        entries.append(Entry(value, _one(f"docs_{n}")))
    files = {"docs.jsonl": File("lines", tuple(entries))}
    return Dataset("mmc4", "mmc4", files, ("docs.jsonl",), {"min_bytes": "1"}, numbered=True)


def _packed(plain: Dataset, path: str, packed: str, pack: Callable[[bytes], bytes]) -> Dataset:
    """A dataset whose main file is compressed; damage anywhere may cost all that is in it."""
    data = pack(b"".join(piece.data for piece in pieces(plain.files[path])))
    rest = {name: file for name, file in plain.files.items() if name != path}
    files = {packed: File("blob", (Entry(data, plain.files[path].records),)), **rest}
    return replace(plain, name=f"{plain.name}-{packed}", files=files, sources=(packed,))


def _zipped(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("docs.jsonl", data)
    return buffer.getvalue()


def _hf_parquet() -> Dataset:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {
            "id": f"h{n}",
            "question": f"What is it in {n}?",
            "answer": f"Thing number {n}.",
            "image": {"bytes": picture(n), "path": None},
        }
        for n in range(RECORDS)
    ]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer, row_group_size=2)
    everything = frozenset(f"h{n}" for n in range(RECORDS))
    files = {"rows.parquet": File("blob", (Entry(buffer.getvalue(), everything),))}
    return Dataset("hf-parquet", "hf-datasets", files, ("rows.parquet",))


def _differences() -> Dataset:
    entries, files = [], {}
    for n in range(RECORDS):
        name = _one(f"SD_INS_{8500 + n:05d}")
        value = {"img_id": str(8500 + n), "sentences": [f"the car {n} is gone"]}
        entries.append(Entry(value, name))
        for suffix, number in (("", n), ("_2", n + 1)):
            # Both pictures of a pair, and no other pair, need it.
            shown = Entry(picture(number), name, pictures=(f"{8500 + n:05d}",))
            files[f"resized_images/{8500 + n}{suffix}.png"] = File("blob", (shown,))
    files["train.json"] = File("array", tuple(entries))
    options = {"images": "resized_images"}
    return Dataset("differences", "spot-the-difference", files, ("train.json",), options)


def _vqav2() -> Dataset:
    questions, answers, files = [], [], {}
    for n in range(RECORDS):
        image, question, name = 458_700 + n, 458_700_000 + n, f"VQAV2_INS_{458_700_000 + n}"
        value = {"image_id": image, "question": f"Is it {n}?", "question_id": question}
        questions.append(Entry(value, _one(name), pictures=(f"{image}",)))
        said = {"question_id": question, "image_id": image, "multiple_choice_answer": f"yes {n}"}
        answers.append(Entry(said, _one(name)))
        shown = Entry(picture(n, "JPEG"), _one(name), pictures=(f"{image:012d}",))
        files[f"coco/train2014/COCO_train2014_{image:012d}.jpg"] = File("blob", (shown,))
    files["vqa/v2_OpenEnded_mscoco_train2014_questions.json"] = File(
        "array", tuple(questions), ("questions",)
    )
    files["vqa/v2_mscoco_train2014_annotations.json"] = File(
        "array", tuple(answers), ("annotations",)
    )
    return Dataset("vqav2", "vqav2", files, ("vqa",), {"images": "coco"})


@cache
def datasets(*, videos: bool = True) -> tuple[Dataset, ...]:
    """All of them; those with videos need PyAV."""
    found = [
        _mimicit(),
        _mimicit_train(),
        _mimicit_mixture(),
        _mimicit_parquet(),
        _llava("array"),
        _llava("lines"),
        _sharegpt(),
        _messages(),
        _table("csv"),
        _table("lines"),
        _webdataset(),
        _packed(_webdataset(is_large=True), "shard.tar", "shard.tar.gz", gzip.compress),
        _mmc4(),
        _packed(_mmc4(), "docs.jsonl", "docs.jsonl.gz", gzip.compress),
        _packed(_mmc4(), "docs.jsonl", "docs.jsonl.zip", _zipped),
        _hf_parquet(),
        _differences(),
        _vqav2(),
    ]
    if videos:
        found += [_llava_video({}), _llava_video({"frames": "4"})]
    return tuple(found)
