"""What a forward pass must hold, whatever the language model."""

import copy
import pickle
import threading

import pytest
import torch
from tests.model.conftest import LANGUAGE_MODELS

from otter.model import OtterForConditionalGeneration
from otter.model.backbones import find_decoder_layers

EVERYWHERE = tuple(LANGUAGE_MODELS)


@pytest.mark.parametrize("architecture", EVERYWHERE)
def test_closed_gates_leave_the_language_model_bit_for_bit(
    tiny, text, pictures, index, architecture
):
    model = tiny(architecture, gates=0.0)
    ids = text("ab<i>cd<i>e", "abcdefg")
    read = model(input_ids=ids, pixel_values=pictures(2), media_index=index([[0], [1]], []))
    assert torch.equal(read.logits, model.language_model(input_ids=ids).logits)


@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("rotary", [1.0, 0.25])
def test_both_residual_forms_of_gpt_neox_carry_the_blocks(tiny, text, pictures, parallel, rotary):
    # Pythia adds attention and feed-forward side by side, RedPajama-INCITE one after the other.
    rope = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": rotary}
    form = {"use_parallel_residual": parallel, "rope_parameters": rope}
    ids, pixels = text("ab<i>cd<i>ef"), pictures(2)[None, :, None]
    closed = tiny("gpt_neox", gates=0.0, text=form)
    layer = find_decoder_layers(closed.language_model, 2)[0]
    assert layer.use_parallel_residual == parallel
    assert layer.attention.rotary_ndims == 8 * rotary
    plain = closed.language_model(input_ids=ids).logits
    assert torch.equal(closed(input_ids=ids, pixel_values=pixels).logits, plain)
    model = tiny("gpt_neox", text=form)
    whole = model(input_ids=ids, pixel_values=pixels).logits
    assert (whole - plain)[:, 2:].abs().amax(-1).min() > 1e-3
    start = model(input_ids=ids[:, :7], pixel_values=pixels, use_cache=True)
    rest = model(input_ids=ids[:, 7:], past_key_values=start.past_key_values)
    torch.testing.assert_close(rest.logits, whole[:, 7:], atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("architecture", EVERYWHERE)
def test_a_later_picture_changes_no_earlier_token(tiny, text, pictures, architecture):
    model = tiny(architecture)
    ids, pixels = text("ab<i>cd<i>ef"), pictures(2)
    changed = pixels.clone()
    changed[1] += 1
    first, second = (
        model(input_ids=ids, pixel_values=p[None, :, None]).logits[0] for p in (pixels, changed)
    )
    assert torch.equal(first[:5], second[:5])
    assert (first[5:] - second[5:]).abs().amax(-1).min() > 1e-3


def test_a_token_before_the_first_picture_ignores_all_pictures(model, text, pictures):
    ids = text("ab<i>cd<i>ef")
    one, other = (
        model(input_ids=ids, pixel_values=pictures(2, seed)[None, :, None]).logits[0]
        for seed in (0, 1)
    )
    assert torch.equal(one[:2], other[:2])
    assert not torch.equal(one[2:], other[2:])


def test_both_forms_of_pictures_read_the_same(model, text, pictures, index):
    ids = text("a<i>b<i>cd", "<i>ab<i>cd")
    by_index = model(
        input_ids=ids, pixel_values=pictures(4), media_index=index([[0], [1]], [[2], [3]])
    ).logits
    dense = model(input_ids=ids, pixel_values=pictures(4).view(2, 2, 1, 3, 8, 8)).logits
    torch.testing.assert_close(by_index, dense, atol=1e-5, rtol=1e-5)


def test_text_a_picture_several_and_clips_read_the_same_in_one_batch(model, text, pictures, index):
    rows = [
        (text("abcdefgh"), []),
        (text("ab<i>cdefg"), [[0]]),
        (text("<i>a<i><i>bcde"), [[1], [0], [2]]),
        (text("<i>ab<i>cdef"), [[0, 1, 2], [3, 1]]),
    ]
    batch = model(
        input_ids=torch.cat([ids for ids, _ in rows]),
        pixel_values=pictures(4),
        media_index=index(*(m for _, m in rows)),
    )
    for row, (ids, media) in enumerate(rows):
        given = {"pixel_values": pictures(4), "media_index": index(media)} if media else {}
        torch.testing.assert_close(
            batch.logits[row : row + 1], model(input_ids=ids, **given).logits, atol=1e-5, rtol=1e-5
        )


def test_left_padded_rows_read_as_they_do_alone(model, text, pictures, index, left_padded):
    rows, media = [text("ab<i>cd"), text("a<i>bc<i>defg")], [[[0]], [[1], [2]]]
    batch = model(**left_padded(*rows), pixel_values=pictures(3), media_index=index(*media)).logits
    for row, (ids, those) in enumerate(zip(rows, media, strict=True)):
        alone = model(input_ids=ids, pixel_values=pictures(3), media_index=index(those)).logits
        torch.testing.assert_close(
            batch[row : row + 1, -ids.shape[1] :], alone, atol=2e-5, rtol=1e-5
        )


def test_reading_token_by_token_is_reading_at_once(model, text, pictures):
    ids, cache = text("ab<i>cd<i>ef"), None
    whole = model(input_ids=ids, pixel_values=pictures(2)[None, :, None]).logits
    pixels = iter(pictures(2))
    for place in range(ids.shape[1]):
        step = ids[:, place : place + 1]
        given = (
            {"pixel_values": next(pixels)[None, None, None]}
            if step.item() == model.config.image_token_id
            else {}
        )
        read = model(input_ids=step, past_key_values=cache, use_cache=True, **given)
        cache = read.past_key_values
        torch.testing.assert_close(read.logits[:, 0], whole[:, place], atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("attend", ["last", "group", "all"])
def test_a_run_of_markers_is_seen_as_the_config_says(tiny, text, pictures, attend):
    model = tiny("llama", attend=attend)
    ids, pixels = text("<i>a<i><i>b"), pictures(3)[None, :, None]
    seen = []
    for medium in range(3):
        other = pixels.clone()
        other[:, medium] += 1
        difference = (
            model(input_ids=ids, pixel_values=other).logits
            - model(input_ids=ids, pixel_values=pixels).logits
        )
        # The last token also hears of the pictures from the tokens between, so only its own block
        # is asked: one layer.
        seen.append(bool(difference[0, -1].abs().max() > 0))
    assert seen[-1]
    view = _last_view(model, ids, pixels)
    assert (
        view
        == {"last": [False, False, True], "group": [False, True, True], "all": [True, True, True]}[
            attend
        ]
    )


def _last_view(model, ids, pixels):
    views = []
    hook = model.cross_attention[0].register_forward_pre_hook(
        lambda block, args: views.append(args[2])
    )
    model(input_ids=ids, pixel_values=pixels)
    hook.remove()
    return views[0].mask[0, 0, -1, :: model.config.num_latents].tolist()


def test_encoded_pictures_can_be_given_again(model, text, pictures, index):
    ids = text("a<i>b<i>cd")
    first = model(input_ids=ids, pixel_values=pictures(2), media_index=index([[0], [1]]))
    again = model(input_ids=ids, vision_states=first.vision_states)
    assert torch.equal(first.logits, again.logits)
    twice = model(
        input_ids=ids.repeat(2, 1), vision_states=first.vision_states.repeat_interleave(2)
    )
    torch.testing.assert_close(twice.logits, first.logits.repeat(2, 1, 1), atol=1e-5, rtol=1e-5)


def test_the_loss_is_of_the_labels_and_divided_by_the_given_number(model, text, pictures):
    ids = text("a<i>bcd")
    labels = torch.where(torch.arange(5) < 3, -100, ids)
    given = {"input_ids": ids, "pixel_values": pictures(1)[None, :, None], "labels": labels}
    read = model(**given)
    expected = torch.nn.functional.cross_entropy(read.logits[0, 2:4].float(), ids[0, 3:])
    torch.testing.assert_close(read.loss, expected)
    torch.testing.assert_close(model(**given, num_items_in_batch=8).loss, expected * 2 / 8)


@pytest.mark.parametrize("keep", [1, 3, torch.tensor([0, 4])])
def test_only_the_logits_that_are_kept_are_given(model, text, pictures, keep):
    given = {"input_ids": text("a<i>bcd"), "pixel_values": pictures(1)[None, :, None]}
    whole = model(**given).logits
    expected = whole[:, -keep:] if isinstance(keep, int) else whole[:, keep]
    torch.testing.assert_close(
        model(**given, logits_to_keep=keep).logits, expected, atol=1e-5, rtol=1e-5
    )


def test_hidden_states_are_given_on_request(model, text, pictures):
    given = {"input_ids": text("a<i>bcd"), "pixel_values": pictures(1)[None, :, None]}
    assert model(**given).hidden_states is None
    states = model(**given, output_hidden_states=True).hidden_states
    # What goes into the first layer has seen no picture yet; what comes out of the last has.
    assert len(states) == 3
    assert (states[0].shape, states[-1].shape) == ((1, 5, 32), (1, 5, 32))


def test_embeddings_can_be_given_beside_the_markers(model, text, pictures):
    ids, pixels = text("a<i>bcd"), pictures(1)[None, :, None]
    embeddings = model.get_input_embeddings()(ids)
    read = model(input_ids=ids, inputs_embeds=embeddings, pixel_values=pixels)
    torch.testing.assert_close(
        read.logits, model(input_ids=ids, pixel_values=pixels).logits, atol=1e-5, rtol=1e-5
    )


def test_blocks_stand_before_every_nth_layer(tiny):
    model = tiny("llama", cross_attention_every_n_layers=2, text={"num_hidden_layers": 5})
    assert model._block_of_layer == {1: 0, 3: 1}
    assert len(model.cross_attention) == 2


def test_the_language_model_keeps_the_names_of_its_own_checkpoint(model):
    alone = type(model.language_model)(model.config.text_config)
    assert set(model.language_model.state_dict()) == set(alone.state_dict())
    parts = {name.split(".")[0] for name in model.state_dict()}
    assert parts == {"vision_tower", "resampler", "language_model", "cross_attention"}


def test_a_fresh_model_has_closed_gates_and_standard_latents(tiny_config):
    torch.manual_seed(0)
    model = OtterForConditionalGeneration(tiny_config(num_latents=64, max_frames=64))
    for block in model.cross_attention:
        assert block.attention_gate.item() == 0 == block.feed_forward_gate.item()
    assert model.resampler.latents.std().item() == pytest.approx(1, abs=0.1)
    assert model.resampler.frame_embeddings.std().item() == pytest.approx(1, abs=0.1)
    spread = model.resampler.layers[0].attention.q_proj.weight.std().item()
    assert spread == pytest.approx((1 / (3 * 24)) ** 0.5, rel=0.15)


def test_new_tokens_can_be_added(own_llama, text):
    own_llama.resize_token_embeddings(120, mean_resizing=False)
    read = own_llama(input_ids=text("abc"), labels=text("abc"))
    assert read.logits.shape[-1] == 120 == own_llama.config.text_config.vocab_size
    assert torch.isfinite(read.loss)


def test_a_copy_and_a_pickled_model_use_their_own_blocks(own_llama, text, pictures):
    given = {"input_ids": text("a<i>bc"), "pixel_values": pictures(1)[None, :, None]}
    before = own_llama(**given).logits
    copies = copy.deepcopy(own_llama), pickle.loads(pickle.dumps(own_llama))
    with torch.no_grad():
        for block in own_llama.cross_attention:
            block.attention_gate.zero_()
    assert not torch.equal(own_llama(**given).logits, before)
    for other in copies:
        assert torch.equal(other(**given).logits, before)


@pytest.mark.parametrize("architecture", ["llama", "mpt"])
def test_eight_threads_with_different_pictures_read_what_they_read_alone(
    tiny, text, pictures, architecture
):
    model = tiny(architecture)
    jobs = [
        {"input_ids": text("a<i>bc<i>d"), "pixel_values": pictures(2, seed)[None, :, None]}
        for seed in range(7)
    ]
    jobs.append({"input_ids": text("abcdef")})
    alone = [model.generate(**job, max_new_tokens=6, do_sample=False) for job in jobs]
    together: dict[int, list[torch.Tensor]] = {}
    start = threading.Barrier(len(jobs))

    def work(number):
        start.wait()
        together[number] = [
            model.generate(**jobs[number], max_new_tokens=6, do_sample=False) for _ in range(2)
        ]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, expected in enumerate(alone):
        assert all(torch.equal(expected, got) for got in together[number])
    assert len({tuple(ids[0, -6:].tolist()) for ids in alone}) > 1


def test_nothing_of_a_call_stays_on_a_module(llama, text, pictures):
    def attributes():
        return {
            (name, key): id(value)
            for name, module in llama.named_modules()
            for key, value in vars(module).items()
        }

    before = attributes()
    llama(input_ids=text("a<i>b"), pixel_values=pictures(1)[None, :, None])
    assert attributes() == before


def test_a_decoder_that_skips_layers_is_reported(own_llama, text):
    layers = find_decoder_layers(own_llama.language_model, 2)
    layers[1]._forward_pre_hooks.clear()
    with pytest.raises(
        RuntimeError, match=r"LlamaForCausalLM: 1 of 2 gated blocks ran.*switch that off"
    ):
        own_llama(input_ids=text("abc"))


@pytest.mark.parametrize(
    ("line", "media", "message"),
    [
        (
            "a<i>b",
            [[0], [1]],
            r"row 1: 1 <image> marker\(s\) but 2 picture\(s\) or clip\(s\): expected one marker",
        ),
        ("a<i><i>", [[0]], r"row 1: 2 <image> marker\(s\) but 1 picture\(s\) or clip\(s\)"),
        ("abc", [[0]], r"row 1: 0 <image> marker\(s\) but 1 picture\(s\) or clip\(s\)"),
    ],
)
def test_a_count_mismatch_names_the_row_and_both_counts(
    llama, text, pictures, index, line, media, message
):
    with pytest.raises(ValueError, match=message):
        llama(
            input_ids=text("a<i>b", line), pixel_values=pictures(2), media_index=index([[0]], media)
        )


def test_markers_without_any_picture_are_refused(llama, text):
    with pytest.raises(
        ValueError,
        match=r"row 0: 1 <image> marker\(s\) but 0 picture.*give the missing picture",
    ):
        llama(input_ids=text("a<i>b"))


def test_pictures_for_another_number_of_rows_are_refused(llama, text, pictures, index):
    with pytest.raises(
        ValueError, match=r"pictures for 1 rows but text of 2 rows: give each row its media, -1 in"
    ):
        llama(input_ids=text("a<i>", "<i>b"), pixel_values=pictures(1), media_index=index([[0]]))


def test_pictures_without_anywhere_to_stand_are_refused(llama, tiny, text, pictures):
    with pytest.raises(ValueError, match="pictures were given without input_ids"):
        llama(inputs_embeds=torch.zeros(1, 2, 32), pixel_values=pictures(1)[None, :, None])
    with pytest.raises(ValueError, match=r"pictures were given without config\.image_token_id"):
        tiny("llama", image_token_id=None)(
            input_ids=text("a"), pixel_values=pictures(1)[None, :, None]
        )
    with pytest.raises(ValueError, match="neither input_ids nor inputs_embeds"):
        llama()
