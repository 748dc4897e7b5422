"""The same text by every way of decoding, and no picture worked on twice."""

import copy
from collections import Counter

import pytest
import torch
from transformers import DynamicCache, GenerationConfig, StaticCache

from otter.model import cross_attention as cross_attention_module
from otter.model import layers as layers_module
from otter.model.vision_memory import find_vision_memory

GREEDY = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False}


@pytest.fixture
def prompt(text, pictures, index, left_padded):
    """Three left-padded rows: two pictures of which one comes twice, one picture, only text."""
    rows = left_padded(text("a<i>b<i>c<i>d"), text("a<i>bc"), text("abcde"))
    return {**rows, "pixel_values": pictures(2), "media_index": index([[0], [1], [0]], [[1]], [])}


@pytest.mark.parametrize(
    "way",
    [
        {"do_sample": False},
        {"num_beams": 3, "do_sample": False},
        {"num_beams": 2, "num_return_sequences": 2, "do_sample": False},
        {"do_sample": True, "num_return_sequences": 2},
    ],
    ids=["greedy", "beams", "several beams", "samples"],
)
def test_generation_with_the_cache_equals_generation_without(model, prompt, way):
    texts = []
    for use_cache in (True, False):
        torch.manual_seed(0)
        texts.append(
            model.generate(**prompt, max_new_tokens=6, min_new_tokens=6, **way, use_cache=use_cache)
        )
    assert torch.equal(*texts)
    assert texts[0].shape == (
        3 * way.get("num_return_sequences", 1),
        prompt["input_ids"].shape[1] + 6,
    )


def test_generated_text_depends_on_the_picture(model, text, pictures):
    ids = text("ab<i>cd")
    texts = {
        tuple(
            model.generate(ids, pixel_values=pictures(1, seed)[None, :, None], **GREEDY)[0].tolist()
        )
        for seed in range(6)
    }
    assert len(texts) > 3


def test_left_padded_rows_generate_what_they_generate_alone(model, prompt, text, pictures, index):
    together = model.generate(**prompt, **GREEDY)[:, -6:]
    rows = [(text("a<i>b<i>c<i>d"), [[0], [1], [0]]), (text("a<i>bc"), [[1]]), (text("abcde"), [])]
    for row, (ids, media) in enumerate(rows):
        given = {"pixel_values": pictures(2), "media_index": index(media)} if media else {}
        assert torch.equal(model.generate(ids, **given, **GREEDY)[0, -6:], together[row])


@pytest.mark.parametrize("attend", ["last", "group", "all"])
def test_decoding_reads_the_same_pictures_as_one_pass(tiny, text, pictures, attend):
    model = tiny("llama", attend=attend)
    given = {"input_ids": text("<i>a<i><i>bc"), "pixel_values": pictures(3)[None, :, None]}
    cached, whole = (
        model.generate(**given, **GREEDY, use_cache=use_cache) for use_cache in (True, False)
    )
    assert torch.equal(cached, whole)


def test_prompt_lookup_gives_the_greedy_text(model, text, pictures):
    # The marker stands in a phrase that comes again, so it is proposed, and must not be taken.
    given = {"input_ids": text("ab<i>cab<i>cab"), "pixel_values": pictures(2)[None, :, None]}
    greedy = model.generate(**given, max_new_tokens=12, do_sample=False)
    assert torch.equal(
        model.generate(**given, max_new_tokens=12, do_sample=False, prompt_lookup_num_tokens=3),
        greedy,
    )


def test_a_static_cache_gives_the_same_text(model, prompt):
    static = model.generate(**prompt, **GREEDY, cache_implementation="static")
    assert torch.equal(static, model.generate(**prompt, **GREEDY))


def test_a_second_turn_with_a_new_picture_continues_the_cache(model, text, pictures):
    turn, pixels = text("ab<i>cd"), pictures(2)[None, :, None]
    first = model.generate(turn, pixel_values=pixels[:, :1], **GREEDY, return_dict_in_generate=True)
    both = torch.cat([first.sequences, text("a<i>bc")], 1)
    continued = model.generate(
        both, past_key_values=first.past_key_values, pixel_values=pixels[:, 1:], **GREEDY
    )
    assert torch.equal(continued, model.generate(both, pixel_values=pixels, **GREEDY))


def test_a_first_picture_may_come_in_a_later_turn(model, text, pictures, index, left_padded):
    rows = left_padded(text("abcd"), text("ab"))
    first = model.generate(**rows, **GREEDY, return_dict_in_generate=True)
    both = torch.cat([first.sequences, text("a<i>bc", "a<i><i>b")], 1)
    mask = torch.nn.functional.pad(rows["attention_mask"], (0, both.shape[1] - 4), value=1)
    new = {
        "pixel_values": pictures(3),
        "media_index": index([[0]], [[1], [2]]),
        "attention_mask": mask,
    }
    continued = model.generate(both, past_key_values=first.past_key_values, **new, **GREEDY)
    assert torch.equal(continued, model.generate(both, **new, **GREEDY))


def test_a_cache_without_a_config_is_not_mistaken(llama, text, pictures):
    given = {"input_ids": text("a<i>bc"), "pixel_values": pictures(1)[None, :, None], **GREEDY}
    assert torch.equal(
        llama.generate(**given, past_key_values=DynamicCache()), llama.generate(**given)
    )


@pytest.mark.parametrize("kind", ["dynamic", "static"])
def test_a_cropped_cache_forgets_the_pictures_of_the_cropped_text(llama, text, pictures, kind):
    cache = (
        DynamicCache(config=llama.config.text_config)
        if kind == "dynamic"
        else StaticCache(config=llama.config.text_config, max_cache_len=32)
    )
    pixels = pictures(3)[:, None, None, None]
    llama(input_ids=text("a<i>b"), pixel_values=pixels[0], past_key_values=cache)
    llama(input_ids=text("c<i>d"), pixel_values=pixels[1], past_key_values=cache)
    if kind == "static":
        cache.reset()
        llama(input_ids=text("a<i>b"), pixel_values=pixels[0], past_key_values=cache)
    else:
        cache.crop(-3)
    for new, given in (("efg", {}), ("h<i>i", {"pixel_values": pixels[2]})):
        read = llama(input_ids=text(new), past_key_values=cache, **given).logits
    both = torch.cat([pixels[0], pixels[2]], 1)
    whole = llama(input_ids=text("a<i>befgh<i>i"), pixel_values=both).logits
    torch.testing.assert_close(read, whole[:, -3:], atol=2e-5, rtol=1e-5)


def test_many_answers_are_scored_on_one_reading_of_the_pictures(model, text, pictures, index):
    ids, answers = text("a<i>bc<i>d"), text("xy", "yz", "zx")
    with torch.no_grad():  # a cache with gradients cannot be copied
        prefix = model(input_ids=ids, pixel_values=pictures(2)[None, :, None], use_cache=True)
    cache = copy.deepcopy(prefix.past_key_values)
    cache.batch_repeat_interleave(3)
    scored = model(input_ids=answers, past_key_values=cache).logits
    whole = model(
        input_ids=torch.cat([ids.repeat(3, 1), answers], 1),
        vision_states=prefix.vision_states.repeat_interleave(3),
    )
    torch.testing.assert_close(scored, whole.logits[:, -2:], atol=2e-5, rtol=1e-5)
    # Three rows, and still the keys of two pictures.
    memory = find_vision_memory(cache)
    assert memory.key_values(0)[0].shape[0] == 2
    cache.batch_select_indices(torch.tensor([2]))
    assert memory.rows.shape == (1, 2)


@pytest.fixture
def count(llama):
    """Calls of tower, resampler and projections, and the first dimension of what they got."""
    calls: Counter[str] = Counter()
    sizes: dict[str, set[int]] = {}
    hooks = []
    for name, module in llama.named_modules():
        if name in ("vision_tower", "resampler") or (
            name.startswith("cross_attention") and name.endswith("_proj")
        ):

            def seen(module, args, kwargs, name=name):
                calls[name] += 1
                sizes.setdefault(name, set()).add((args or list(kwargs.values()))[0].shape[0])

            hooks.append(module.register_forward_pre_hook(seen, with_kwargs=True))
    yield calls, sizes
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize(
    "way", [{}, {"num_beams": 3}, {"do_sample": True, "num_return_sequences": 2}]
)
def test_each_picture_is_worked_on_once(llama, prompt, count, way):
    calls, sizes = count
    llama.generate(**prompt, **(GREEDY | way))
    assert calls["vision_tower"] == calls["resampler"] == 1
    assert sizes["vision_tower"] == sizes["resampler"] == {2}  # distinct pictures, of four shown
    for block in range(2):
        for projection in ("k_proj", "v_proj"):
            name = f"cross_attention.{block}.attention.{projection}"
            assert (calls[name], sizes[name]) == (1, {2})
        assert (
            calls[f"cross_attention.{block}.attention.q_proj"] == 6
        )  # the prompt, then five tokens


@pytest.mark.parametrize(("attend", "media"), [("last", 1), ("group", 2), ("all", 5)])
def test_a_decoding_step_reads_only_what_it_may_see(
    tiny, text, pictures, monkeypatch, attend, media
):
    lengths = []
    attention = layers_module.scaled_dot_product_attention

    def counted(queries, keys, values, **kwargs):
        lengths.append((queries.shape[2], keys.shape[2]))
        return attention(queries, keys, values, **kwargs)

    model = tiny("llama", attend=attend)
    given = {"input_ids": text("<i>a<i><i>b<i>c<i>d"), "pixel_values": pictures(5)[None, :, None]}
    given["vision_states"] = model.encode_media(given.pop("pixel_values"))
    monkeypatch.setattr(layers_module, "scaled_dot_product_attention", counted)
    model.generate(**given, **GREEDY)
    latents = model.config.num_latents
    assert set(lengths) == {(9, 5 * latents), (1, media * latents)}


def test_a_mask_is_made_once_for_all_blocks(llama, prompt, monkeypatch):
    views = []
    view = cross_attention_module.MediaView.__init__
    monkeypatch.setattr(
        cross_attention_module.MediaView,
        "__init__",
        lambda *args, **options: (views.append(1), view(*args, **options))[1],
    )
    llama.generate(**prompt, **GREEDY)
    assert len(views) == 6


def test_a_marker_is_never_generated(tiny, text, pictures):
    model = tiny("llama")
    with torch.no_grad():
        model.get_output_embeddings().weight[5] *= 20
    given = {
        "input_ids": text("a<i>b"),
        "pixel_values": pictures(1)[None, :, None],
        "max_new_tokens": 20,
    }
    torch.manual_seed(0)
    free = model.generate(**given, do_sample=True, suppress_tokens=None)
    assert (free == 5).sum() > 1
    assert (model.generate(**given, do_sample=True) == 5).sum() == 1


def test_generation_ends_at_the_end_of_chunk_or_the_language_models_own_end(tiny_config, tiny):
    assert tiny("llama").generation_config.eos_token_id == [4, 2]
    without = tiny("llama", text={"eos_token_id": None, "pad_token_id": None})
    assert without.generation_config.eos_token_id == [4]
    assert without.generation_config.pad_token_id == 4


def test_markers_are_counted_before_generation(llama, text, pictures):
    with pytest.raises(
        ValueError, match=r"row 0: 2 <image> marker\(s\) but 1 picture\(s\) or clip\(s\)"
    ):
        llama.generate(text("a<i>b<i>"), pixel_values=pictures(1)[None, :, None], max_new_tokens=2)
    first = llama.generate(
        text("a<i>"),
        pixel_values=pictures(1)[None, :, None],
        max_new_tokens=2,
        return_dict_in_generate=True,
    )
    both = torch.cat([first.sequences, text("a<i>")], 1)
    with pytest.raises(
        ValueError,
        match=r"row 0: 1 <image> marker\(s\) but 0 picture\(s\) or clip\(s\).*only the new ones",
    ):
        llama.generate(both, past_key_values=first.past_key_values, max_new_tokens=2)


def test_reading_a_prompt_in_chunks_is_refused(llama, text):
    message = "prefill_chunk_size = 4: expected None; a text is read in one piece.*Leave it out"
    with pytest.raises(ValueError, match=message):
        llama.generate(text("abcdef"), prefill_chunk_size=4)
    with pytest.raises(ValueError, match=message):
        llama.generate(text("abcdef"), GenerationConfig(prefill_chunk_size=4))
