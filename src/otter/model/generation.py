"""Generating text: pictures are encoded once, before anything is repeated for beams or samples."""

from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, GenerationMixin

from otter.model.vision import VisionStates


class OtterGenerationMixin(GenerationMixin):
    """``generate`` for a model with ``encode_media``; what transformers does with text works."""

    def set_generation_defaults(self) -> None:
        """End at ``<|endofchunk|>`` or the language model's own end, and never say ``<image>``."""
        config: Any = self.config
        defaults = self.generation_config
        ends = defaults.eos_token_id
        known = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
        if config.end_of_chunk_token_id is not None and config.end_of_chunk_token_id not in known:
            known.insert(0, config.end_of_chunk_token_id)
        defaults.eos_token_id = known or None
        if defaults.pad_token_id is None and known:
            defaults.pad_token_id = known[0]
        if config.image_token_id is not None:
            # A marker that is said has no picture behind it.
            defaults.suppress_tokens = [config.image_token_id]

    @torch.no_grad()
    def generate(
        self,
        inputs: Tensor | None = None,
        generation_config: GenerationConfig | None = None,
        *args: Any,
        pixel_values: Tensor | None = None,
        media_index: Tensor | None = None,
        vision_states: VisionStates | None = None,
        **kwargs: Any,
    ) -> Any:
        """Continue a text with pictures; all else is as in ``GenerationMixin.generate``.

        Args:
            inputs: long[batch, text], also as ``input_ids``.
            generation_config: instead of ``model.generation_config``.
            *args: as in ``GenerationMixin.generate``.
            pixel_values: in either of the forms of ``forward``.
            media_index: as in ``forward``.
            vision_states: instead of ``pixel_values``, from ``encode_media``.
            **kwargs: as in ``GenerationMixin.generate``; with ``past_key_values`` of an earlier
                call, give only new pictures; ``check_media=False`` as in ``forward``.

        Raises:
            ValueError: ``prefill_chunk_size``, which would part a text from its pictures.
        """
        for source in (
            kwargs.get("prefill_chunk_size"),
            getattr(generation_config or self.generation_config, "prefill_chunk_size", None),
        ):
            if source is not None:
                raise ValueError(
                    f"prefill_chunk_size = {source}: expected None; a text is read in one piece, "
                    "for its pictures belong to markers anywhere in it. Leave it out, or give "
                    "fewer examples"
                )
        if vision_states is None and pixel_values is not None:
            vision_states = self.encode_media(pixel_values, media_index)
        if vision_states is not None:
            kwargs["vision_states"] = vision_states
        return super().generate(inputs, generation_config, *args, **kwargs)

    # The name `kwargs` is looked for by generate's check of unused arguments.
    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        *,
        is_first_iteration: bool | None = False,
        vision_states: VisionStates | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Give the pictures to the first step, and to every step where no cache remembers them."""
        model_inputs: dict[str, Any] = super().prepare_inputs_for_generation(
            input_ids, is_first_iteration=is_first_iteration, **kwargs
        )
        if is_first_iteration or kwargs.get("use_cache") is False:
            model_inputs["vision_states"] = vision_states
        asked = kwargs.get("check_media", True)
        model_inputs["check_media"] = bool(is_first_iteration and asked)
        return model_inputs

    def _expand_inputs_for_generation(
        self,
        expand_size: int = 1,
        is_encoder_decoder: bool = False,
        input_ids: Tensor | None = None,
        **model_kwargs: Any,
    ) -> tuple[Tensor | None, dict[str, Any]]:
        """Repeat the rows for beams and samples; of the vision states, never the states."""
        states = model_kwargs.get("vision_states")
        if states is not None and expand_size > 1:
            model_kwargs["vision_states"] = states.repeat_interleave(expand_size)
        expanded: tuple[Tensor | None, dict[str, Any]] = super()._expand_inputs_for_generation(
            expand_size=expand_size,
            is_encoder_decoder=is_encoder_decoder,
            input_ids=input_ids,
            **model_kwargs,
        )
        return expanded
