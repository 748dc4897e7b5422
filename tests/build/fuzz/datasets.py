"""Small sound datasets in many formats and layouts; each imports without any problem."""

import base64
import gzip
import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

from tests.build.fuzz.pictures import noise, picture, video
from tests.build.fuzz.pieces import Dataset, Entry, File, dump, pieces

RECORDS = 6


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
            said = dump({"question": f"What is it in {n}?", "answer": f"Thing number {n}."})
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
    source = "spot-the-difference"
    return Dataset("differences", source, files, ("train.json",), options, repeats=True)


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
def datasets(*, slow: bool = True) -> tuple[Dataset, ...]:
    """All of them; or without those with videos, which need PyAV, and those of a slow library."""
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
        _differences(),
        _vqav2(),
    ]
    if slow:
        found += [_hf_parquet(), _llava_video({}), _llava_video({"frames": "4"})]
    return tuple(found)
