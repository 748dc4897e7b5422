"""The small vision tower: an ordinary model of transformers, strict about what it is given."""

import pytest
import torch
from transformers import AutoConfig, AutoModel

import otter.model  # noqa: F401  # registers the tower
from otter.model.stem_vision import StemVisionConfig, StemVisionModel

SMALL = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24, "stem_channels": 8}


@pytest.fixture
def tower() -> StemVisionModel:
    torch.manual_seed(0)
    return StemVisionModel(StemVisionConfig(**SMALL)).eval()


def test_a_picture_becomes_a_feature_for_each_patch(tower: StemVisionModel) -> None:
    output = tower(torch.randn(3, 3, 48, 48))
    assert output.last_hidden_state.shape == (3, 36, 16)


@pytest.mark.parametrize("size", [8, 24, 64])
def test_any_multiple_of_the_patch_is_a_size(size: int) -> None:
    tower = StemVisionModel(StemVisionConfig(**SMALL, image_size=size))
    features = tower(torch.randn(2, 3, size, size)).last_hidden_state
    assert features.shape == (2, (size // 8) ** 2, 16)


def test_patches_stand_row_by_row_from_the_top_left() -> None:
    # Without layers a feature depends on what is near its patch alone; a norm would hide how much.
    tower = StemVisionModel(StemVisionConfig(**SMALL, num_hidden_layers=0)).eval()
    tower.norm = torch.nn.Identity()
    black, dotted = torch.zeros(1, 3, 48, 48), torch.zeros(1, 3, 48, 48)
    dotted[..., 8 * 4 + 4, 8 * 1 + 4] = 5.0
    with torch.no_grad():
        changed = tower(dotted).last_hidden_state - tower(black).last_hidden_state
    assert changed.abs().sum(-1).argmax() == 6 * 4 + 1


def test_it_is_found_by_its_model_type(tower: StemVisionModel, tmp_path) -> None:
    tower.save_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)) is StemVisionConfig
    back = AutoModel.from_pretrained(tmp_path).eval()
    assert type(back) is StemVisionModel
    pixels = torch.randn(2, 3, 48, 48)
    with torch.no_grad():
        difference = back(pixels).last_hidden_state - tower(pixels).last_hidden_state
    assert difference.abs().max() == 0


def test_the_same_seed_gives_the_same_tower(tower: StemVisionModel) -> None:
    torch.manual_seed(0)
    again = StemVisionModel(StemVisionConfig(**SMALL)).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in tower.state_dict().items())


def test_every_parameter_takes_part(tower: StemVisionModel) -> None:
    tower(torch.randn(2, 3, 48, 48)).last_hidden_state.square().sum().backward()
    unused = [name for name, parameter in tower.named_parameters() if parameter.grad is None]
    assert not unused


def test_a_picture_does_not_depend_on_the_others_in_the_batch(tower: StemVisionModel) -> None:
    pixels = torch.randn(3, 3, 48, 48)
    with torch.no_grad():
        together = tower(pixels).last_hidden_state
        alone = tower(pixels[1:2]).last_hidden_state
    assert torch.allclose(together[1:2], alone, atol=1e-5)


def test_pictures_of_another_size_are_refused(tower: StemVisionModel) -> None:
    with pytest.raises(ValueError) as caught:
        tower(torch.randn(1, 3, 32, 48))
    assert str(caught.value) == (
        "pixel_values are 32 by 48, the tower takes 48 by 48: prepare pictures with the "
        "checkpoint's own processor"
    )


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"patch_size": 16}, "patch_size = 16: expected 8, as the stem makes it"),
        ({"image_size": 50}, "image_size = 50: expected a multiple of 8, the patch size"),
        ({"image_size": 0}, "image_size = 0: expected a multiple of 8, the patch size"),
        (
            {"hidden_size": 18, "num_attention_heads": 4},
            "hidden_size = 18: expected a multiple of num_attention_heads = 4",
        ),
    ],
)
def test_sizes_that_do_not_fit_together_are_refused(sizes: dict, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        StemVisionModel(StemVisionConfig(**(SMALL | sizes)))
    assert str(caught.value) == message
