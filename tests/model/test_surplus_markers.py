"""Texts with more markers than media, or fewer: what models of 2023 made of them, on request."""

import pytest
import torch
from transformers import CompileConfig

from otter.model import modeling
from otter.model.cross_attention import MediaView, OtterCrossAttentionBlock
from otter.model.media_mask import (
    ABSENT,
    latest_media,
    marker_positions,
    surplus_places,
    with_surplus_marker,
)

GREEDY = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False}


@pytest.fixture(scope="module", params=["llama", "mpt", "mosaic_gpt"])
def uniform(request, tiny):
    return tiny(request.param, surplus_markers="uniform")


@pytest.fixture(scope="module")
def uniform_llama(tiny):
    return tiny("llama", surplus_markers="uniform")


def dense(pixels):
    return pixels[None, :, None]


# --- the formula ---------------------------------------------------------------------------------


def attended_in_2023(block, x, media, is_marker):
    """The original's attention: float[batch, text, dim] and float[batch, media, latents, dim]."""
    attention, (_, number, latents, _) = block.attention, media.shape
    queries = attention._split(attention.q_proj(block.norm(x)))
    keys, values = attention.key_values(media.flatten(1, 2))
    scores = queries @ keys.transpose(2, 3) * attention.head_dim**-0.5
    text_time = is_marker.cumsum(-1)
    media_time = torch.arange(1, number + 1).repeat_interleave(latents)
    seen = text_time[:, None, :, None] == media_time
    scores = scores.masked_fill(~seen, -torch.finfo(scores.dtype).max)
    weights = scores.softmax(-1).masked_fill((text_time == 0)[:, None, :, None], 0.0)
    return attention.o_proj((weights @ values).transpose(1, 2).flatten(2))


def test_a_block_gives_what_the_original_gave(tiny_config):
    torch.manual_seed(0)
    config = tiny_config(surplus_markers="uniform")
    block = OtterCrossAttentionBlock(config, 0, 20, 24)
    torch.nn.init.ones_(block.attention_gate)
    x, media = torch.randn(2, 10, 20), torch.randn(2, 2, 3, 24)
    is_marker = torch.tensor([[0, 1, 0, 1, 0, 1, 0, 0, 1, 0], [1, 0, 0, 0, 0, 0, 0, 1, 0, 0]]) > 0
    rows = torch.arange(4).view(2, 2)
    places = with_surplus_marker(is_marker, rows, marker_positions(is_marker, rows))
    view = MediaView(*places, torch.arange(10), "last", 3, surplus=True)
    read = block(x, media.flatten(0, 1), view)
    expected = x + torch.tanh(torch.tensor(1.0)) * attended_in_2023(block, x, media, is_marker)
    torch.testing.assert_close(read, expected, atol=1e-6, rtol=1e-5)
    # No gradient reaches the queries and keys of a token that sees all alike.
    assert view.evenly[..., 0].tolist() == [[False] * 5 + [True] * 5, [False] * 10]


def test_the_first_marker_without_a_medium_has_a_place():
    lines = ["iaib", "aiia", "aaaa", "iaaa"]
    is_marker = torch.tensor([[mark == "i" for mark in line] for line in lines])
    rows = torch.tensor([[0, -1], [1, 2], [-1, -1], [-1, -1]])
    positions = marker_positions(is_marker, rows, 10)
    rows, positions = with_surplus_marker(is_marker, rows, positions, 10)
    assert rows.tolist() == [[0, -1, -1], [1, 2, -1], [-1, -1, -1], [-1, -1, -1]]
    assert positions.tolist() == [
        [10, 12, ABSENT],
        [11, 12, ABSENT],
        [ABSENT] * 3,
        [10, ABSENT, ABSENT],
    ]
    assert surplus_places(rows, positions).nonzero().tolist() == [[0, 1], [3, 0]]
    assert latest_media(rows, positions, 1)[1].flatten().tolist() == [12, 12, ABSENT, 10]


def test_nothing_is_added_where_every_marker_has_its_medium():
    is_marker, rows = torch.tensor([[True, False]]), torch.tensor([[0]])
    positions = marker_positions(is_marker, rows)
    assert with_surplus_marker(is_marker, rows, positions) == (rows, positions)


# --- the whole model -----------------------------------------------------------------------------


def test_a_token_after_a_surplus_marker_hears_of_every_picture(uniform, text, pictures):
    ids, pixels = text("<i>a<i>b<i>c"), pictures(2)
    read = uniform(input_ids=ids, pixel_values=dense(pixels)).logits
    for picture in range(2):
        other = pixels.clone()
        other[picture] += 1
        changed = uniform(input_ids=ids, pixel_values=dense(other)).logits
        first = 2 * picture
        assert torch.equal(changed[:, :first], read[:, :first])
        assert (changed[:, first:] - read[:, first:]).abs().amax(-1).min() > 1e-4


def test_reading_token_by_token_is_reading_at_once(uniform, text, pictures):
    ids, cache = text("a<i>b<i>c<i><i>de"), None
    whole = uniform(input_ids=ids, pixel_values=dense(pictures(2))).logits
    pixels = iter(pictures(2))
    for place in range(ids.shape[1]):
        step = ids[:, place : place + 1]
        picture = next(pixels, None) if step.item() == uniform.config.image_token_id else None
        given = {} if picture is None else {"pixel_values": dense(picture[None])}
        read = uniform(input_ids=step, past_key_values=cache, use_cache=True, **given)
        cache = read.past_key_values
        torch.testing.assert_close(read.logits[:, 0], whole[:, place], atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("way", [{}, {"num_beams": 3}], ids=["greedy", "beams"])
def test_generation_with_the_cache_equals_generation_without(
    uniform, text, pictures, index, left_padded, way
):
    # A row without a surplus marker, one with, and one of text, in one batch.
    rows = left_padded(text("a<i>b<i>cd"), text("a<i>b<i>c<i>d"), text("abc"))
    media = [[[0], [1]], [[1]], []]
    given = {**rows, "pixel_values": pictures(2), "media_index": index(*media)}
    cached, whole = (
        uniform.generate(**given, **GREEDY, **way, use_cache=use_cache)
        for use_cache in (True, False)
    )
    assert torch.equal(cached, whole)
    for row, those in enumerate(media):
        ids = rows["input_ids"][row][rows["attention_mask"][row].bool()][None]
        seen = {"pixel_values": pictures(2), "media_index": index(those)} if those else {}
        alone = uniform.generate(ids, **seen, **GREEDY, **way)
        assert torch.equal(alone[0, -6:], cached[row, -6:])


def test_a_marker_that_is_said_is_a_surplus_marker(uniform_llama, text, pictures):
    marker = uniform_llama.config.image_token_id
    given = {"input_ids": text("<i>a<i>b"), "pixel_values": dense(pictures(2))}

    def say(batch, ids):
        return [marker] if ids.shape[0] == 4 else list(range(20, 60))

    cached, whole = (
        uniform_llama.generate(
            **given,
            **GREEDY,
            use_cache=use_cache,
            suppress_tokens=None,
            prefix_allowed_tokens_fn=say,
            return_dict_in_generate=True,
            output_logits=True,
        )
        for use_cache in (True, False)
    )
    assert cached.sequences[0, 4] == marker
    assert torch.equal(cached.sequences, whole.sequences)
    for step, other in zip(cached.logits, whole.logits, strict=True):
        torch.testing.assert_close(step, other, atol=2e-5, rtol=1e-5)


def test_a_picture_of_a_later_turn_ends_it(uniform_llama, text, pictures):
    first = uniform_llama(
        input_ids=text("<i>a<i>b"), pixel_values=dense(pictures(1)), use_cache=True
    )
    views = []
    hook = uniform_llama.cross_attention[0].register_forward_pre_hook(
        lambda block, args: views.append(args[2])
    )
    new = {"input_ids": text("c<i>d"), "pixel_values": dense(pictures(1, seed=1))}
    uniform_llama(**new, past_key_values=first.past_key_values)
    hook.remove()
    assert views[0].evenly[0, :, 0].tolist() == [True, False, False]
    latents = uniform_llama.config.num_latents
    seen = views[0].mask[0, 0, :, ::latents].tolist()
    assert seen == [[True, False, False], [False, False, True], [False, False, True]]


def test_the_decoding_step_is_one_graph(uniform_llama, text, pictures):
    torch.compiler.reset()
    graphs = []

    def backend(graph, inputs, **options):
        graphs.append(graph)
        return graph.forward

    compiled = CompileConfig(fullgraph=True, backend=backend)
    compiled._compile_all_devices = True
    given = {"input_ids": text("<i>a<i>bc"), "pixel_values": dense(pictures(1))}
    one_graph = uniform_llama.generate(
        **given, **GREEDY, cache_implementation="static", compile_config=compiled
    )
    assert torch.equal(one_graph, uniform_llama.generate(**given, **GREEDY))
    assert len(graphs) == 1
    torch.compiler.reset()


def test_it_can_be_trained_and_checkpointed(tiny, text, pictures):
    gradients = []
    for again in (False, True):
        model = tiny("llama", surplus_markers="uniform").train()
        if again:
            model.activation_checkpointing_enable({"use_reentrant": False})
        ids = text("<i>a<i>bc")
        model(input_ids=ids, labels=ids, pixel_values=dense(pictures(1))).loss.backward()
        gradients.append([p.grad for p in model.cross_attention.parameters()])
    for plain, checkpointed in zip(*gradients, strict=True):
        assert torch.isfinite(plain).all()
        torch.testing.assert_close(plain, checkpointed)


# --- what is refused, and what it costs to refuse ------------------------------------------------


def test_a_row_of_markers_without_any_picture_is_refused(uniform_llama, text, pictures, index):
    with pytest.raises(ValueError, match=r"row 1: 1 <image> marker\(s\) but 0 picture"):
        uniform_llama(
            input_ids=text("a<i>b", "a<i>b"), pixel_values=pictures(1), media_index=index([[0]], [])
        )
    with pytest.raises(ValueError, match=r"row 0: 1 <image> marker\(s\) but 0 picture"):
        uniform_llama(input_ids=text("a<i>b"))
    with pytest.raises(ValueError, match=r"row 0: 1 <image> marker\(s\) but 2 picture"):
        uniform_llama(input_ids=text("a<i>b"), pixel_values=dense(pictures(2)))


def test_a_model_that_refuses_them_does_not_look_for_them(llama, text, pictures, monkeypatch):
    monkeypatch.setattr(modeling, "with_surplus_marker", None)
    views = []
    hook = llama.cross_attention[0].register_forward_pre_hook(
        lambda block, args: views.append(args[2])
    )
    llama.generate(text("a<i>b"), pixel_values=dense(pictures(1)), **GREEDY)
    hook.remove()
    assert [view.evenly for view in views] == [None] * 6


# --- fewer markers than media --------------------------------------------------------------------


@pytest.mark.parametrize("line", ["ab<i>cd", "abcde"])
def test_media_that_are_left_over_are_never_seen(tiny, text, pictures, line):
    for surplus in ("refuse", "uniform"):
        model = tiny("llama", surplus_markers=surplus)
        ids, marked = text(line), line.count("<i>")
        few = dense(pictures(3)[:marked]) if marked else None
        given = {"input_ids": ids, "check_media": False}
        read = model(**given, pixel_values=dense(pictures(3))).logits
        expected = model(input_ids=ids, pixel_values=few).logits
        torch.testing.assert_close(read, expected, atol=1e-6, rtol=1e-6)
        said = model.generate(**given, pixel_values=dense(pictures(3)), **GREEDY)
        assert torch.equal(said, model.generate(ids, pixel_values=few, **GREEDY))
        with pytest.raises(ValueError, match=f"row 0: {marked} <image> marker"):
            model.generate(ids, pixel_values=dense(pictures(3)), **GREEDY)
