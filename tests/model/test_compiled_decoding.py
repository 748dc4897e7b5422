"""The decoding step as one compiled graph."""

import pytest
import torch
from transformers import CompileConfig


# Dynamo's own backend shows that the step is one graph that works for other pictures too, without
# waiting for a compiler. MPT is not here: its own ALiBi slicing cannot be compiled, alone neither.
@pytest.mark.parametrize("architecture", ["llama", "gpt_neox", "mosaic_gpt"])
@pytest.mark.parametrize("attend", ["last", "group"])
def test_the_decoding_step_is_one_graph(tiny, text, pictures, architecture, attend):
    torch.compiler.reset()
    model = tiny(architecture, attend=attend)
    graphs = []

    def backend(graph, inputs, **options):
        graphs.append(graph)
        return graph.forward

    compiled = CompileConfig(fullgraph=True, backend=backend)
    compiled._compile_all_devices = True
    how = {"input_ids": text("<i>a<i><i>bc"), "max_new_tokens": 5, "min_new_tokens": 5}
    for seed in range(2):
        states = model.encode_media(pictures(3, seed)[None, :, None])
        one_graph = model.generate(
            **how, vision_states=states, cache_implementation="static", compile_config=compiled
        )
        assert torch.equal(one_graph, model.generate(**how, vision_states=states))
    assert len(graphs) == 1
    torch.compiler.reset()
