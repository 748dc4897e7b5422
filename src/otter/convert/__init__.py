"""Other people's checkpoints: read exactly, and written back.

    from otter.convert import convert
    convert("checkpoint.pt", "openflamingo-9b", language_model="anas-awadalla/mpt-7b")

A conversion is planned from names and shapes alone, and nothing is written unless every tensor of
ours has a source and every tensor of theirs is used or dropped for a stated reason.
"""

from otter.convert.audit import Audit
from otter.convert.conversion import convert
from otter.convert.errors import ConversionError

__all__ = ["Audit", "ConversionError", "convert"]
