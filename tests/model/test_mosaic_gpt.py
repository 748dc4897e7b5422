"""MosaicGPT: the formula, the names of the original, and what a language model has to do."""

import copy
import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, CompileConfig
from transformers.cache_utils import StaticCache

from otter.model import MosaicGPTConfig, MosaicGPTForCausalLM
from otter.model.mosaic_gpt import alibi_slopes

SIZES = {"d_model": 24, "n_heads": 6, "n_layers": 2, "vocab_size": 40, "max_seq_len": 64}
ORIGINAL = {
    "alibi": True,
    "alibi_bias_max": 8,
    "architectures": ["MosaicGPT"],
    "attn_clip_qkv": None,
    "attn_impl": "triton",
    "attn_qk_ln": True,
    "init_device": "cpu",
    "low_precision_layernorm": True,
    "mlp_ratio": 4,
    "model_type": "mosaic_gpt",
    "no_bias": True,
    "param_init_fn": "kaiming_normal_",
    "prefix_lm": False,
    "softmax_scale": None,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
    "use_cache": False,
}
"""Fields of a config.json of 2023, some of which mean nothing here."""


def tiny(**changes):
    torch.manual_seed(0)
    model = MosaicGPTForCausalLM(MosaicGPTConfig(**SIZES | changes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0, 0.3)
            else:
                parameter.uniform_(0.5, 1.5)
    return model


@pytest.fixture(scope="module")
def model():
    return tiny()


@pytest.fixture
def ids():
    return torch.randint(1, 40, (2, 9))


def logits_by_hand(model, ids):
    """The original's arithmetic, one head at a time: its bias is the distance to the last token."""
    config, weights = model.config, model.state_dict()
    heads, length = config.n_heads, ids.shape[1]
    norm = torch.nn.functional.layer_norm
    x = weights["transformer.wte.weight"][ids]
    for block in range(config.n_layers):
        w = {
            name.removeprefix(f"transformer.blocks.{block}."): value
            for name, value in weights.items()
        }
        normed = norm(x, (config.d_model,), w["ln_1.weight"])
        q, k, v = (normed @ w["attn.Wqkv.weight"].T).chunk(3, dim=-1)
        q = norm(q, (config.d_model,), w["attn.q_ln.weight"])
        k = norm(k, (config.d_model,), w["attn.k_ln.weight"])
        attended = []
        for head in range(heads):
            part = slice(head * config.d_model // heads, (head + 1) * config.d_model // heads)
            scores = q[..., part] @ k[..., part].transpose(1, 2) / (config.d_model / heads) ** 0.5
            slope = [2.0 ** -(n + 1) for n in (1, 3, 5, 7, 0, 2)][head]
            scores = scores + slope * (torch.arange(length) - (length - 1))
            later = torch.ones(length, length).triu(1).bool()
            attended.append(scores.masked_fill(later, -torch.inf).softmax(-1) @ v[..., part])
        x = x + torch.cat(attended, -1) @ w["attn.out_proj.weight"].T
        middle = norm(x, (config.d_model,), w["ln_2.weight"]) @ w["mlp.mlp_up.weight"].T
        x = x + torch.nn.functional.gelu(middle) @ w["mlp.mlp_down.weight"].T
    x = norm(x, (config.d_model,), weights["transformer.ln_f.weight"])
    return x @ weights["transformer.wte.weight"].T


def test_it_computes_what_the_original_did(model, ids):
    torch.testing.assert_close(model(ids).logits, logits_by_hand(model, ids), atol=1e-4, rtol=1e-5)


def test_the_norm_of_queries_and_keys_matters(model, ids):
    without = tiny(attn_qk_ln=False)
    _, unexpected = without.load_state_dict(model.state_dict(), strict=False)
    assert {name.split(".", 3)[3] for name in unexpected} == {
        "attn.q_ln.weight",
        "attn.k_ln.weight",
    }
    assert (without(ids).logits - model(ids).logits).abs().max() > 0.1


def test_queries_keys_and_values_can_be_cut_off(model, ids):
    for limit, equal in ((1e3, True), (0.1, False)):
        clipped = tiny(attn_clip_qkv=limit)
        assert torch.equal(clipped(ids).logits, model(ids).logits) == equal


@pytest.mark.parametrize(
    ("heads", "exponents"),
    [
        (4, [2, 4, 6, 8]),
        (3, [4, 8, 2]),
        (6, [2, 4, 6, 8, 1, 3]),
        (1, [8]),
    ],
)
def test_slopes_of_any_number_of_heads(heads, exponents):
    assert alibi_slopes(heads, 8).tolist() == [2.0**-exponent for exponent in exponents]
    assert alibi_slopes(heads, 16).tolist() == [2.0 ** (-2 * exponent) for exponent in exponents]


def test_reading_token_by_token_is_reading_at_once(model, ids):
    whole, cache = model(ids).logits, None
    for place in range(ids.shape[1]):
        read = model(ids[:, place : place + 1], past_key_values=cache, use_cache=True)
        cache = read.past_key_values
        torch.testing.assert_close(read.logits[:, 0], whole[:, place], atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_padded_row_reads_as_it_does_alone(model, ids, attention, side):
    model = copy.deepcopy(model)
    model.set_attn_implementation(attention)
    padding, kept = ((4, 0), slice(4, None)) if side == "left" else ((0, 4), slice(0, 5))
    short = torch.nn.functional.pad(ids[:1, :5], padding)
    mask = torch.nn.functional.pad(torch.ones(1, 5).long(), padding)
    batch = model(
        torch.cat([short, ids[1:]]),
        attention_mask=torch.cat([mask, torch.ones(1, 9).long()]),
    ).logits
    assert torch.isfinite(batch).all()
    alone = model(ids[:1, :5]).logits
    torch.testing.assert_close(batch[:1, kept], alone, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(batch[1:], model(ids[1:]).logits, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("options", [{"num_beams": 3}, {"cache_implementation": "static"}])
def test_generation_with_a_cache_is_generation_without(model, ids, options):
    how = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    mask = torch.ones_like(ids)
    mask[0, :3] = 0
    cached = model.generate(ids, attention_mask=mask, **how, **options)
    options = {"num_beams": options.get("num_beams", 1)}
    whole = model.generate(ids, attention_mask=mask, **how, **options, use_cache=False)
    assert torch.equal(cached, whole)


def test_the_decoding_step_is_one_graph(model, ids):
    torch.compiler.reset()
    graphs = []

    def backend(graph, inputs, **options):
        graphs.append(graph)
        return graph.forward

    compiled = CompileConfig(fullgraph=True, backend=backend)
    compiled._compile_all_devices = True
    how = {"max_new_tokens": 5, "min_new_tokens": 5, "do_sample": False, "pad_token_id": 0}
    one_graph = model.generate(ids, **how, cache_implementation="static", compile_config=compiled)
    assert torch.equal(one_graph, model.generate(ids, **how))
    assert len(graphs) == 1
    torch.compiler.reset()


def test_a_static_cache_longer_than_the_text_changes_nothing(model, ids):
    cache = StaticCache(config=model.config, max_cache_len=32)
    read = model(ids[:, :6], past_key_values=cache).logits
    torch.testing.assert_close(read, model(ids[:, :6]).logits, atol=2e-5, rtol=1e-5)
    read = model(ids[:, 6:], past_key_values=cache).logits
    torch.testing.assert_close(read, model(ids).logits[:, 6:], atol=2e-5, rtol=1e-5)


def test_only_the_logits_that_are_asked_for_are_made(model, ids):
    whole = model(ids).logits
    assert torch.equal(model(ids, logits_to_keep=1).logits, whole[:, -1:])
    places = torch.tensor([2, 5])
    assert torch.equal(model(ids, logits_to_keep=places).logits, whole[:, places])


def test_states_and_weights_are_given_on_request(model, ids):
    model = copy.deepcopy(model)
    plain = model(ids)
    assert plain.hidden_states is None
    assert plain.attentions is None
    model.set_attn_implementation("eager")
    read = model(ids, output_hidden_states=True, output_attentions=True)
    torch.testing.assert_close(read.logits, plain.logits, atol=2e-5, rtol=1e-5)
    assert len(read.hidden_states) == 3
    torch.testing.assert_close(model.lm_head(read.hidden_states[-1]), read.logits)
    assert [weights.shape for weights in read.attentions] == [(2, 6, 9, 9)] * 2


def test_embeddings_may_be_given_instead_of_ids(model, ids):
    embeds = model.get_input_embeddings()(ids)
    assert torch.equal(model(inputs_embeds=embeds).logits, model(ids).logits)
    with pytest.raises(ValueError, match="neither input_ids nor inputs_embeds: give one of them"):
        model()


def test_layers_that_are_run_again_in_the_backward_pass_give_the_same_gradients(ids):
    gradients = []
    for again in (False, True):
        model = tiny().train()
        if again:
            model.activation_checkpointing_enable({"use_reentrant": False})
        model(ids, labels=ids, use_cache=False).loss.backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_near_to_full(model, ids, dtype):
    half = copy.deepcopy(model).to(dtype)
    read = half(ids, attention_mask=torch.tensor([[0] * 3 + [1] * 6, [1] * 9])).logits
    assert read.dtype == dtype
    assert torch.isfinite(read).all()
    full = model(ids[1:]).logits
    assert (read[1:].float() - full).abs().mean() < 0.05 * full.abs().mean()


def test_it_is_saved_under_the_names_of_the_original_and_comes_back(model, ids, tmp_path):
    model.save_pretrained(tmp_path)
    block = ("ln_1", "attn.Wqkv", "attn.q_ln", "attn.k_ln", "attn.out_proj", "ln_2")
    names = [
        f"blocks.{i}.{name}" for i in range(2) for name in (*block, "mlp.mlp_up", "mlp.mlp_down")
    ]
    assert set(load_file(tmp_path / "model.safetensors")) == {
        f"transformer.{name}.weight" for name in (*names, "wte", "ln_f")
    }
    loaded, report = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert isinstance(loaded, MosaicGPTForCausalLM)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert loaded.lm_head.weight is loaded.transformer.wte.weight
    assert torch.equal(loaded(ids).logits, model(ids).logits)


def test_a_config_of_2023_is_read_and_its_output_is_always_tied(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(SIZES | ORIGINAL))
    config = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(config, MosaicGPTConfig)
    assert config.tie_word_embeddings is True
    assert config.use_cache is False
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (24, 2, 6)
    assert config.max_position_embeddings == 64


def test_the_vocabulary_can_grow_and_stays_tied(ids):
    model = tiny()
    model.resize_token_embeddings(44, mean_resizing=False)
    assert model(ids).logits.shape[-1] == 44
    assert model.lm_head.weight is model.transformer.wte.weight


@pytest.mark.parametrize(
    ("changes", "named", "expected"),
    [
        ({"alibi": False}, "alibi = False", "alibi = True"),
        ({"no_bias": False}, "no_bias = False", "no_bias = True"),
        ({"prefix_lm": True}, "prefix_lm = True", "prefix_lm = False"),
        ({"logit_scale": "inv_sqrt_d_model"}, "logit_scale = 'inv_sqrt_d_model'", "None"),
        ({"logit_scale": 0.0}, "logit_scale = 0.0", "logit_scale = None"),
        ({"attn_pdrop": 0.1}, "attn_pdrop = 0.1", "attn_pdrop = 0.0"),
        ({"embedding_fraction": 0.5}, "embedding_fraction = 0.5", "embedding_fraction = 1.0"),
    ],
)
def test_a_value_that_is_not_implemented_is_refused_by_name(changes, named, expected):
    with pytest.raises(ValueError) as error:
        MosaicGPTConfig(**SIZES | changes)
    message = str(error.value)
    assert message.startswith(f"{named}: MosaicGPT is implemented with ")
    assert expected in message
    assert message.endswith(
        "as the published checkpoints have it. Correct config.json if the weights were trained so; "
        "otherwise this language model cannot be used"
    )


def test_nothing_said_is_nothing_asked():
    assert MosaicGPTConfig(
        **SIZES, prefix_lm=None, attn_uses_sequence_id=None, embedding_fraction=1
    )


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match=r"d_model = 24 with n_heads = 5: expected a width that"):
        MosaicGPTConfig(**SIZES | {"n_heads": 5})
