"""A model without weights: which tensors it has, and where its gated blocks stand."""

import torch
from transformers import PreTrainedConfig

from otter.convert.names import Layout
from otter.model.backbones import build_language_model, find_decoder_layers
from otter.model.config import OtterConfig
from otter.model.modeling import OtterForConditionalGeneration


class Skeleton:
    """The model of a config on the meta device.

    Args:
        config: of the model.

    Attributes:
        model: the model, without data.
        shapes: the tensors of its checkpoint; of tied ones only the first.
        tables: those whose first axis is the vocabulary.
        tied: for each tied tensor that is not stored, the one that it equals.
        layout: where the blocks stand.
    """

    def __init__(self, config: OtterConfig) -> None:
        with torch.device("meta"):
            self.model = OtterForConditionalGeneration(config)
        self.tied: dict[str, str] = dict(self.model.all_tied_weights_keys)
        self.shapes = {
            name: tuple(tensor.shape)
            for name, tensor in self.model.state_dict().items()
            if name not in self.tied
        }
        ends = (self.model.get_input_embeddings(), self.model.get_output_embeddings())
        wanted = {id(end.weight) for end in ends if end is not None}
        self.tables = frozenset(n for n, p in self.model.named_parameters() if id(p) in wanted)
        text = config.text_config
        every = config.cross_attention_every_n_layers
        layers: int = text.num_hidden_layers  # type: ignore[union-attr]
        name = decoder_layers_name(self.model.language_model, layers)
        self.layout = Layout(name, range(every - 1, layers, every))


def language_model_layers(config: PreTrainedConfig) -> str:
    """The name of a language model's list of decoder layers, such as ``model.layers``."""
    with torch.device("meta"):
        model = build_language_model(config)
    return decoder_layers_name(model, config.num_hidden_layers)


def decoder_layers_name(language_model: torch.nn.Module, layers: int) -> str:
    """As :func:`language_model_layers`, of a model."""
    found = find_decoder_layers(language_model, layers)
    return next(name for name, module in language_model.named_modules() if module is found)
