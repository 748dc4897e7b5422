"""Tokenizers of three kinds and a processor that goes with them, made in a few milliseconds."""

from typing import Any

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import CLIPImageProcessorPil, PreTrainedTokenizerFast

from otter.model.processor import OtterProcessor

TEXTS = [
    "what is this?",
    "a dog, on the beach!",
    "two cats\nand  a bird",
    "User: GPT: dax wug blicket",
]


def byte_level() -> PreTrainedTokenizerFast:
    """As GPT-2: bytes merged to pieces, no token at the start."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=alphabet, show_progress=False, special_tokens=["</s>"]
    )
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>")


def metaspace() -> PreTrainedTokenizerFast:
    """As newer llamas: words begin with a visible space; ``<s>`` is put in front."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return _trained_llama(tokenizer)


def legacy_metaspace() -> PreTrainedTokenizerFast:
    """As the first llamas: every text after a marker gets a space put before it."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return _trained_llama(tokenizer)


def _trained_llama(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=330, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


TOKENIZERS = {
    "byte-level": byte_level,
    "metaspace": metaspace,
    "legacy metaspace": legacy_metaspace,
}


def image_processor(size: int = 16, **options: Any) -> CLIPImageProcessorPil:
    return CLIPImageProcessorPil(
        size={"shortest_edge": size}, crop_size={"height": size, "width": size}, **options
    )


def tiny_processor(tokenizer: str = "byte-level", size: int = 16, **options: Any) -> OtterProcessor:
    return OtterProcessor(image_processor(size), TOKENIZERS[tokenizer](), **options)
