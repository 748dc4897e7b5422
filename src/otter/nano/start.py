"""Where the foundation starts: a stock decoder in which learning from examples emerges in minutes.

The architecture is ordinary; only first values are ours. What each is for, with its ablation,
stands in ``docs/log.md``:

* *mimetic attention* (Trockman & Kolter 2023, arXiv 2305.09828): queries equal keys, values and
  outputs undo each other;
* *previous-token heads*: two heads of the first layer look one token back from the start, which is
  the first half of induction;
* *isometric picture path*: values and outputs of the resampler and the gated blocks keep lengths
  and angles;
* *open gates*: 0.5 rather than 0, since everything is learned together here and no language model
  needs protection.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers import CLIPImageProcessorPil, LlamaConfig

from otter.model import OtterConfig, OtterForConditionalGeneration, StemVisionModel
from otter.model.processor import OtterProcessor
from otter.nano.glyphs import SIZE
from otter.nano.scenes import FRAMES
from otter.nano.tokenizer import nano_tokenizer
from otter.nano.tower import MEAN, SCALE
from otter.prompt import ANSWER, END_OF_CHUNK, IMAGE

LOOKING_BACK = 2
"""Heads of the first layer that start by looking at the token before."""


def nano_processor() -> OtterProcessor:
    """The tokenizer, and an image processor that gives the tower pictures as it knows them."""
    side = {"height": SIZE, "width": SIZE}
    pictures = CLIPImageProcessorPil(
        size=side, do_center_crop=False, image_mean=[MEAN] * 3, image_std=[SCALE] * 3, resample=3
    )
    return OtterProcessor(pictures, nano_tokenizer(), num_frames=FRAMES)


def nano_config(tower: StemVisionModel, processor: OtterProcessor) -> OtterConfig:
    """The sizes of the nano models, in all 1.7 million parameters.

    Tower 0.34, resampler 0.11, gated blocks 0.36, decoder 0.91 million.
    """
    tokenizer = processor.tokenizer
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=336,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        rms_norm_eps=1e-5,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=None,
        pad_token_id=tokenizer.pad_token_id,
    )
    vision = tower.config.to_dict()
    vision.pop("_name_or_path", None)  # a folder of this machine
    return OtterConfig(
        vision_config=vision,
        text_config=text.to_dict(),
        attend="group",
        cross_attention_every_n_layers=1,
        cross_attention_heads=4,
        cross_attention_head_dim=32,
        cross_attention_feed_forward_multiplier=1,
        num_latents=8,
        resampler_depth=1,
        resampler_heads=4,
        resampler_head_dim=24,
        max_frames=FRAMES,
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        answer_token_id=tokenizer.convert_tokens_to_ids(ANSWER),
        end_of_chunk_token_id=tokenizer.convert_tokens_to_ids(END_OF_CHUNK),
    )


@torch.no_grad()
def foundation_start(
    tower: StemVisionModel, seed: int = 0
) -> tuple[OtterForConditionalGeneration, OtterProcessor]:
    """An untrained nano model on a trained tower, and its processor."""
    processor = nano_processor()
    torch.manual_seed(seed)
    model = OtterForConditionalGeneration(nano_config(tower, processor))
    model.vision_tower.load_state_dict(tower.state_dict())
    _start_decoder(model)
    _start_picture_path(model)
    return model.eval(), processor


def _start_decoder(model: OtterForConditionalGeneration) -> None:
    decoder = model.language_model.model
    decoder.embed_tokens.weight.normal_(0, 0.5)
    # The head is tied to embeddings of this size; a small last norm keeps first logits near zero.
    decoder.norm.weight.fill_(0.1)
    depth = len(decoder.layers)
    for layer in decoder.layers:
        for linear in (layer.mlp.gate_proj, layer.mlp.up_proj, layer.mlp.down_proj):
            linear.weight.normal_(0, 0.7 / math.sqrt(linear.in_features))
        layer.mlp.down_proj.weight.div_(math.sqrt(2 * depth))
        attention, width = layer.self_attn, layer.self_attn.q_proj.in_features
        attention.q_proj.weight.normal_(0, 1 / math.sqrt(width))
        attention.k_proj.weight.copy_(attention.q_proj.weight)
        attention.v_proj.weight.copy_(_orthogonal(width, width))
        attention.o_proj.weight.copy_(0.5 * attention.v_proj.weight.T)
    _look_back(model)


def _look_back(model: OtterForConditionalGeneration) -> None:
    """Make the first heads of the first layer attend to the token before.

    One embedding dimension is the same for every token. Its key, turned by the rotary embedding of
    its position, meets a query that is turned one position less: the product is largest one token
    back.
    """
    decoder = model.language_model.model
    attention = decoder.layers[0].self_attn
    head_dim, half, frequencies = attention.head_dim, attention.head_dim // 2, 3
    decoder.embed_tokens.weight[:, 0] = 4.0
    angle = decoder.rotary_emb.inv_freq[:frequencies]
    size = math.sqrt(2.0)
    for head in range(LOOKING_BACK):
        rows = slice(head * head_dim, (head + 1) * head_dim)
        for projection in (attention.q_proj, attention.k_proj):
            projection.weight[rows] *= 0.1
        first = head * head_dim + torch.arange(frequencies)
        attention.q_proj.weight[first, 0] = size * angle.cos()
        attention.q_proj.weight[first + half, 0] = -size * angle.sin()
        attention.k_proj.weight[first, 0] = size
        attention.k_proj.weight[first + half, 0] = 0.0


def _start_picture_path(model: OtterForConditionalGeneration) -> None:
    model.resampler.latents.normal_(0, 0.5)
    model.resampler.frame_embeddings.normal_(0, 0.3)
    blocks: list[Any] = list(model.cross_attention)
    for layer in (*model.resampler.layers, *blocks):
        attention, feed_forward = layer.attention, layer.feed_forward
        for linear in (
            *(attention.q_proj, attention.k_proj),
            *(feed_forward.up_proj, feed_forward.down_proj),
        ):
            # PyTorch's own start of a linear layer: the one for language models is much smaller.
            nn.init.kaiming_uniform_(linear.weight, a=math.sqrt(5))
        nn.init.orthogonal_(attention.v_proj.weight)
        nn.init.orthogonal_(attention.o_proj.weight)
    for block in blocks:
        block.attention_gate.fill_(0.5)
        block.feed_forward_gate.fill_(0.5)


def _orthogonal(rows: int, columns: int) -> Tensor:
    return nn.init.orthogonal_(torch.empty(rows, columns))
