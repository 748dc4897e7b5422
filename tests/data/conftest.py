"""A small store to read from: pets in pictures."""

import io
from collections.abc import Callable

import pytest
from PIL import Image

from otter.data import Record, Store, StoreWriter


def draw(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (number % 256, number // 256, 7)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def picture() -> Callable[[int], bytes]:
    """The bytes of a PNG file; another number is another picture."""
    return draw


@pytest.fixture(scope="session")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Four questions about four pictures, one clip, one question without media."""
    folder = tmp_path_factory.mktemp("stores") / "pets"
    with StoreWriter(folder) as writer:
        for number in range(4):
            writer.add_image(f"IMG_{number}", draw(number))
        writer.add_record(
            Record(
                "CAT_2",
                "Wie viele Kätzchen? 🐈",
                "Zwei.",
                media=(("IMG_0",),),
                related=("CAT_0", "CLIP", "CAT_1"),
                task="cats",
                source="garden",
                language="de",
                weight=0.1,
            )
        )
        writer.add_record(Record("CAT_0", "How many?", "Two.", (("IMG_0",),), task="cats"))
        writer.add_record(Record("CAT_1", "How many?", "One.", (("IMG_1",),), task="cats"))
        clip = (("IMG_2", "IMG_3", "IMG_2"), ("IMG_1",))
        writer.add_record(Record("CLIP", "What happens?", "It runs.", clip, task="clips", weight=0))
        writer.add_record(Record("TEXT", "2 + 2?", "4", task="text", split="test"))
    return Store(folder)
