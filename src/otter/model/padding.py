"""Rows of different lengths become one table.

The processor does this itself, because padding inside a fast tokenizer changes the tokenizer's
state: two threads that share one would disturb each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Side = Literal["left", "right"]


def padded(
    rows: Sequence[Sequence[Any]],
    fill: float,
    side: Side,
    *,
    dtype: npt.DTypeLike = np.int64,
    width: int = 0,
) -> npt.NDArray[Any]:
    """``rows`` as an array ``[rows, width]``, as wide as the longest row and at least ``width``.

    >>> padded([[5, 6], [7]], fill=0, side="left").tolist()
    [[5, 6], [0, 7]]
    """
    width = max([width, *(len(row) for row in rows)])
    table = np.full((len(rows), width), fill, dtype=dtype)
    for line, row in zip(table, rows, strict=True):
        if side == "left":
            line[width - len(row) :] = row
        else:
            line[: len(row)] = row
    return table


@dataclass(frozen=True)
class Layout:
    """How the rows of one call are padded.

    Args:
        pad: False leaves rows as they are.
        side: where the padding goes.
        width: at least this wide.
        multiple: widths are rounded up to a multiple of this.
    """

    pad: bool
    side: Side
    width: int = 0
    multiple: int = 1

    def apply(self, rows: Sequence[Sequence[int]], fill: int) -> Any:
        """The rows as an array, or untouched."""
        if not self.pad:
            return rows
        width = max([self.width, *(len(row) for row in rows)])
        return padded(rows, fill, self.side, width=-(-width // self.multiple) * self.multiple)


def take_layout(options: dict[str, Any], *, tensors: bool, side: Side) -> Layout:
    """Take what concerns padding out of ``options``, which go to a tokenizer.

    Args:
        options: in the Hugging Face spelling; ``padding`` (True, "longest", "max_length", False,
            "do_not_pad"), ``padding_side`` and ``pad_to_multiple_of`` are removed; ``max_length``
            stays, for truncation.
        tensors: whether tensors were asked for: then rows are padded unless the options say
            otherwise.
        side: the tokenizer's side.

    Raises:
        ValueError: an unknown way to pad, or "max_length" without ``max_length``.
    """
    padding = options.pop("padding", None)
    padding = tensors if padding is None else getattr(padding, "value", padding)
    if padding not in (True, False, "longest", "max_length", "do_not_pad"):
        raise ValueError(
            f"padding is {padding!r}: expected True, False, 'longest', 'max_length' or 'do_not_pad'"
        )
    width = 0
    if padding == "max_length":
        if options.get("max_length") is None:
            raise ValueError(
                "padding is 'max_length', but max_length is missing: say how many tokens"
            )
        width = int(options["max_length"])
    return Layout(
        pad=padding not in (False, "do_not_pad"),
        side=options.pop("padding_side", None) or side,
        width=width,
        multiple=options.pop("pad_to_multiple_of", None) or 1,
    )
