"""Any number of threads and processes read one store, whatever happens to its files."""

import gc
import multiprocessing
import os
import random
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from otter.data import Record, Store, StoreWriter
from otter.data import arrow as arrow_files
from otter.data.table import ArrowTable, BytesColumn

Picture = Callable[[int], bytes]

RECORDS = 300


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, picture: Picture) -> Store:
    """Many records in many small batches, every one of them different."""
    folder = tmp_path_factory.mktemp("many") / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrow_files, "BATCH_RECORDS", 7)
        with StoreWriter(folder) as writer:
            for n in range(RECORDS):
                writer.add_image(f"I{n}", picture(n))
                media = ((f"I{n}",), (f"I{n // 2}", f"I{n // 3}"))
                related = tuple(f"R{other}" for other in {n // 2, n // 3} - {n})
                writer.add_record(
                    Record(f"R{n}", "ü" * (n % 9) + "?", "!" * (n + 1), media, related)
                )
    return Store(folder)


def wrong_rows(store: Store, seed: int) -> list[int]:
    """Reads records and episodes in random order; gives the rows that are not as written."""
    rng, wrong = random.Random(seed), []
    for _ in range(400):
        n = rng.randrange(RECORDS)
        record, episode = store.record(n), store.episode(n)
        right = (
            record.id == f"R{n}"
            and record.instruction == "ü" * (n % 9) + "?"
            and episode.answer == record.answer == "!" * (n + 1)
            and record.media == ((n,), (n // 2, n // 3))
            and [example.answer for example in episode.examples]
            == ["!" * (other + 1) for other in record.related]
            and store.image_bytes(n).startswith(b"\x89PNG")
            and episode.media[1] == [store.image_bytes(n // 2), store.image_bytes(n // 3)]
        )
        if not right:
            wrong.append(n)
    return wrong


def test_threads_share_one_store(many: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(wrong_rows, [many] * 8, range(8))) == [[]] * 8


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_processes_read_at_once_with_their_parent(many: Store) -> None:
    # Forked by hand, as a loader forks: with the files open and in use.
    children = []
    for seed in range(3):
        child = os.fork()
        if not child:
            os._exit(len(wrong_rows(many, seed)) != 0)
        children.append(child)
    assert wrong_rows(many, 9) == []
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 3


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_started_processes_open_the_store_again(method: str, many: Store) -> None:
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        assert list(pool.map(wrong_rows, [many] * 2, range(2))) == [[]] * 2


def test_an_open_store_is_read_after_its_folder_is_gone(many: Store, tmp_path: Path) -> None:
    copy = Store(shutil.copytree(many.folder, tmp_path / "copy"))
    shutil.rmtree(copy.folder)
    assert wrong_rows(copy, 0) == []


def test_files_stay_open_as_long_as_a_column_is_read_and_no_longer(many: Store) -> None:
    def open_files() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("open files are not listed here")
    path = many.folder / "records.arrow"
    before = open_files()
    column = BytesColumn(ArrowTable(path), "answer")
    gc.collect()
    assert column.text_at(1, 0) == "!" * 8
    del column
    store = Store(many.folder)
    assert wrong_rows(store, 0) == []
    del store
    assert open_files() == before


def test_reading_does_not_map_the_pictures_into_memory(tmp_path: Path) -> None:
    """Pages of a mapping would count as memory of every worker."""
    if not Path("/proc/self/smaps").is_file():
        pytest.skip("mappings are not listed here")
    with StoreWriter(tmp_path / "store") as writer:
        for n in range(100):
            writer.add_image(f"I{n}", b"GIF8" + bytes([n]) * 100_000)
            writer.add_record(Record(f"R{n}", "?", "!" * 50_000, ((f"I{n}",),)))
    store = Store(tmp_path / "store")
    for row in range(100):
        store.episode(row)
    assert resident(tmp_path / "store") < 2_000_000, "of 15 MB"


def resident(folder: Path) -> int:
    """Bytes in memory of mapped files in a folder."""
    total, counts = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ")[0]:
            counts = str(folder) in line
        elif counts and line.startswith("Rss:"):
            total += int(line.split()[1]) * 1024
    return total
