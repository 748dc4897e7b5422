"""What an Otter is made of: two backbones by their own configs, and the sizes that join them."""

import difflib
from os import PathLike
from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers import __version__ as transformers_version
from transformers.configuration_utils import SubConfigSpec
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from otter.model.older_checkpoints import refuse_older_checkpoint, refuse_older_config

ATTEND_CHOICES = ("last", "group", "all")
SURPLUS_CHOICES = ("refuse", "uniform")

_POSITIVE = (
    "cross_attention_every_n_layers",
    "num_latents",
    "resampler_depth",
    "resampler_heads",
    "resampler_head_dim",
    "resampler_feed_forward_multiplier",
    "cross_attention_heads",
    "cross_attention_head_dim",
    "cross_attention_feed_forward_multiplier",
)


@strict
class OtterConfig(PreTrainedConfig):
    """The recipe of an :class:`OtterForConditionalGeneration`; nothing else is needed to build one.

    Args:
        vision_config: the tower's own config, or its dictionary with ``model_type``
            (``"clip_vision_model"`` if unsaid).
        text_config: the language model's own config, or its dictionary (``model_type`` ``"llama"``
            if unsaid).
        cross_attention_every_n_layers: a gated block stands before decoder layer n - 1, 2n - 1, ...
            (counted from 0).
        attend: which pictures a token sees: ``"last"`` the latest, ``"group"`` the latest run of
            adjacent markers, ``"all"`` every earlier one.
        surplus_markers: what a row with more ``<image>`` markers than media is: ``"refuse"`` an
            error, ``"uniform"`` what OpenFlamingo and the Otter of 2023 made of it: a token after a
            marker without a medium attends to all latents of all media of its row alike.
        num_latents: vectors into which the resampler packs a picture or clip.
        max_frames: frames that a clip may have, each place with an embedding of its own; None for
            no such embeddings.
        image_token_id: id of ``<image>``.
        answer_token_id: id of ``<answer>``.
        end_of_chunk_token_id: id of ``<|endofchunk|>``, at which generation ends.

    Raises:
        ValueError: a backbone that transformers does not know, an unknown ``attend`` or
            ``surplus_markers``, a size below 1, blocks further apart than there are layers, or the
            config of a checkpoint of 2023.
    """

    model_type = "otter"
    sub_configs_defaults: ClassVar[dict[str, SubConfigSpec]] = {
        "vision_config": SubConfigSpec(config_class=AutoConfig, model_type="clip_vision_model"),
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="llama"),
    }
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values", "vision_states"]

    vision_config: dict[str, Any] | PreTrainedConfig | None = None
    text_config: dict[str, Any] | PreTrainedConfig | None = None
    cross_attention_every_n_layers: int = 4
    attend: str = "last"
    surplus_markers: str = "refuse"
    num_latents: int = 64
    resampler_depth: int = 6
    resampler_heads: int = 8
    resampler_head_dim: int = 64
    resampler_feed_forward_multiplier: int = 4
    max_frames: int | None = None
    cross_attention_heads: int = 8
    cross_attention_head_dim: int = 64
    cross_attention_feed_forward_multiplier: int = 4
    image_token_id: int | None = None
    answer_token_id: int | None = None
    end_of_chunk_token_id: int | None = None
    tie_word_embeddings: bool = False

    @classmethod
    def get_config_dict(
        cls, pretrained_model_name_or_path: str | PathLike[str], **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """As for any config; that of a 2023 checkpoint is refused with what to do."""
        fields, unused = super().get_config_dict(pretrained_model_name_or_path, **kwargs)
        refuse_older_config(fields, str(pretrained_model_name_or_path))
        if not fields:
            refuse_older_checkpoint(str(pretrained_model_name_or_path))
        return fields, unused

    def __post_init__(self, **kwargs: Any) -> None:
        """Build the backbones' configs from their dictionaries and check what they cannot check."""
        older = {**kwargs, "model_type": self.model_type, "text_config": self.text_config}
        refuse_older_config(older, kwargs.get("name_or_path"))
        for part in ("vision_config", "text_config"):
            _check_model_type(part, getattr(self, part))
        self._check_values()
        super().__post_init__(**kwargs)
        text_config: Any = self.text_config
        self.tie_word_embeddings = bool(getattr(text_config, "tie_word_embeddings", False))
        layers = getattr(text_config, "num_hidden_layers", None)
        if layers is not None and layers < self.cross_attention_every_n_layers:
            raise ValueError(
                f"cross_attention_every_n_layers = {self.cross_attention_every_n_layers}: the "
                f"language model has {layers} layers, so no block would let it see; expected "
                f"{layers} or less"
            )
        # MptConfig says False, which would read the whole text again for every generated token.
        if getattr(text_config, "use_cache", True) is False:
            text_config.use_cache = True

    def _check_values(self) -> None:
        if self.attend not in ATTEND_CHOICES:
            raise ValueError(
                f"attend = {self.attend!r}: expected one of "
                f"{', '.join(map(repr, ATTEND_CHOICES))}; 'last' is what published checkpoints "
                "were trained with"
            )
        if self.surplus_markers not in SURPLUS_CHOICES:
            raise ValueError(
                f"surplus_markers = {self.surplus_markers!r}: expected one of "
                f"{', '.join(map(repr, SURPLUS_CHOICES))}; 'refuse' unless a model was trained "
                "with markers that had no picture"
            )
        if self.surplus_markers == "uniform" and self.attend != "last":
            raise ValueError(
                f"surplus_markers = 'uniform' with attend = {self.attend!r}: expected attend = "
                "'last', as every model was trained that knows such markers; set surplus_markers = "
                "'refuse' for others"
            )
        sizes = {name: getattr(self, name) for name in _POSITIVE}
        if self.max_frames is not None:
            sizes["max_frames"] = self.max_frames
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name} = {size}: expected 1 or more; change it in config.json")


def _check_model_type(part: str, config: dict[str, Any] | PreTrainedConfig | None) -> None:
    """Name an unknown backbone and the nearest known one, instead of listing all five hundred."""
    if not isinstance(config, dict) or "model_type" not in config:
        return
    model_type = config["model_type"]
    if model_type in CONFIG_MAPPING:
        return
    near = difflib.get_close_matches(str(model_type), list(CONFIG_MAPPING.keys()), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise ValueError(
        f"{part}.model_type = {model_type!r}: not a model that transformers "
        f"{transformers_version} knows{hint} Give the model_type from the backbone's own "
        "config.json, or register its class with AutoConfig.register first"
    )
