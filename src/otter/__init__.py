"""Otter: a vision-language model that learns from examples in its prompt.

    import otter
    model = otter.load("otter-nano")
    model.answer("new.png", "Which is it?", [otter.Example("Which is it?", "dax", ["a.png"])])

The names below are imported when they are first used, so that ``import otter`` takes no time. For
Hugging Face's Auto classes to know Otter's checkpoints, ``import otter.model``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otter.model.answer import Otter, load
    from otter.model.config import OtterConfig
    from otter.model.modeling import OtterForConditionalGeneration
    from otter.model.processor import OtterProcessor
    from otter.prompt import Episode, Example

    __version__: str

_HOMES = {
    "load": "otter.model.answer",
    "Otter": "otter.model.answer",
    "Example": "otter.prompt",
    "Episode": "otter.prompt",
    "OtterConfig": "otter.model",
    "OtterForConditionalGeneration": "otter.model",
    "OtterProcessor": "otter.model",
}

__all__ = [
    "load",
    "Otter",
    "Example",
    "Episode",
    "OtterConfig",
    "OtterForConditionalGeneration",
    "OtterProcessor",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Import a public name on its first use."""
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("otter-icl")
        except PackageNotFoundError:  # run from a folder of sources
            return "not installed"
    if name not in _HOMES:
        known = ", ".join(__all__)
        raise AttributeError(f"module 'otter' has no attribute {name!r}; it has {known}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value  # the next use does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
