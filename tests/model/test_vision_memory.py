"""The layer of a cache that remembers pictures."""

import pytest
import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from otter.model.media_mask import ABSENT
from otter.model.vision_memory import VisionMemoryLayer, find_vision_memory, make_vision_memory


@pytest.fixture
def memory():
    """Two rows: the first was shown two of two media, the second one."""
    layer = DynamicLayer()
    layer.update(torch.zeros(2, 1, 9, 4), torch.zeros(2, 1, 9, 4))
    memory = VisionMemoryLayer(layer)
    memory.announce(torch.tensor([[0, 1], [1, -1]]), torch.tensor([[1, 5], [3, ABSENT]]), 2, "last")
    memory.append(0, torch.arange(2.0).view(2, 1, 1, 1), torch.arange(2.0).view(2, 1, 1, 1))
    return memory


def test_new_media_are_sorted_in_after_the_old_ones(memory):
    rows, positions = memory.announce(
        torch.tensor([[-1], [0]]), torch.tensor([[ABSENT], [7]]), 1, "last"
    )
    assert positions.tolist() == [[1, 5, ABSENT], [3, 7, ABSENT]]
    assert [row[:2] for row in rows.tolist()] == [[0, 1], [1, 2]]
    keys, _ = memory.append(0, torch.full((1, 1, 1, 1), 2.0), torch.zeros(1, 1, 1, 1))
    assert keys.flatten().tolist() == [0, 1, 2]


def test_beams_move_rows_and_never_keys(memory):
    keys = memory.key_values(0)[0]
    memory.reorder_cache(torch.tensor([1, 1]))
    memory.batch_repeat_interleave(2)
    assert memory.positions.tolist() == [[3, ABSENT]] * 4
    memory.batch_select_indices(torch.tensor([0]))
    assert memory.rows.shape == (1, 2)
    assert memory.key_values(0)[0] is keys


def test_cropping_forgets_what_was_announced_in_the_cropped_text(memory):
    memory._text_layer.crop(-5)
    memory.crop(-5)
    assert memory.positions.tolist() == [[1, ABSENT], [3, ABSENT]]


def test_reset_forgets_everything(memory):
    memory.reset()
    assert memory.rows is None
    assert memory.positions is None
    with pytest.raises(KeyError):
        memory.key_values(0)


def test_it_stands_at_the_end_of_any_cache():
    growing = DynamicCache()
    assert find_vision_memory(growing) is None
    memory = make_vision_memory(growing, 3)
    assert len(growing.layers) == 4
    assert (
        growing.layers[-1]
        is memory
        is find_vision_memory(growing)
        is make_vision_memory(growing, 3)
    )
    assert growing.get_seq_length() == 0
