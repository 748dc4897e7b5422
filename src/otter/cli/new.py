"""``otter new``: an untrained Otter out of a vision tower and a language model."""

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otter.cli.failure import fail

if TYPE_CHECKING:
    from otter.convert.compose import Composed
    from otter.convert.part_sizes import PartSize


class Dtype(StrEnum):
    """The types that weights may be written in."""

    BF16 = "bf16"
    FP16 = "fp16"
    FP32 = "fp32"


class Attend(StrEnum):
    """What a token sees."""

    LAST = "last"
    GROUP = "group"
    ALL = "all"


def _option(flag: str, metavar: str | None, text: str, **limits: Any) -> Any:
    return typer.Option(flag, metavar=metavar, help=text, show_default=False, **limits)


def new(
    destination: Annotated[
        Path, typer.Argument(metavar="DIR", help="A new folder.", show_default=False)
    ],
    vision_tower: Annotated[
        str,
        _option("--vision-tower", "DIR|ID", "CLIP, SigLIP or another tower, alone or whole."),
    ],
    language_model: Annotated[
        str, _option("--language-model", "DIR|ID", "Any causal language model of transformers.")
    ],
    every: Annotated[
        int | None,
        _option(
            "--cross-attention-every",
            "N",
            "A gated block before every N-th layer; 4, fewer where that made under four blocks.",
            min=1,
        ),
    ] = None,
    latents: Annotated[
        int, typer.Option("--latents", metavar="N", min=1, help="Vectors that a picture becomes.")
    ] = 64,
    attend: Annotated[
        Attend,
        typer.Option(
            "--attend",
            help="What a token sees: the last picture, the last group of adjacent ones, or all.",
        ),
    ] = Attend.LAST,
    max_frames: Annotated[
        int | None,
        _option("--max-frames", "N", "Learn the order of frames, for clips of up to N.", min=1),
    ] = None,
    dtype: Annotated[
        Dtype | None, _option("--dtype", None, "Of the weights; that of the language model.")
    ] = None,
    tokenizer: Annotated[
        str | None, _option("--tokenizer", "DIR|ID", "The language model's own, if it lies apart.")
    ] = None,
    allow_download: Annotated[
        bool, typer.Option("--allow-download", help="Fetch hub ids that are not in the cache.")
    ] = False,
) -> None:
    """Compose an untrained Otter out of any vision tower and any causal language model.

    Its gates are shut: until it is tuned it says what the language model says.

    Example: otter new my-otter --vision-tower google/siglip-base-patch16-224 --language-model
    Qwen/Qwen3-0.6B
    """
    made = _compose(
        destination,
        vision_tower=vision_tower,
        language_model=language_model,
        tokenizer=tokenizer,
        every=every,
        latents=latents,
        attend=attend.value,
        max_frames=max_frames,
        dtype=None if dtype is None else dtype.value,
        allow_download=allow_download,
    )
    _show(made)


def _compose(destination: Path, **options: Any) -> "Composed":
    from rich.console import Console
    from transformers.utils import logging

    from otter.convert.compose import compose

    # What transformers reports of the loading is checked by us, and said in one line if need be.
    logging.set_verbosity_error()
    command = shlex.join(["otter", *sys.argv[1:]])
    try:
        with Console(stderr=True).status("looking at the parts") as status:
            return compose(destination, command=command, on_progress=status.update, **options)
    except (OSError, ValueError) as error:
        fail("new", error)


def _show(made: "Composed") -> None:
    print(f"{made.folder}: an untrained Otter in {str(made.dtype).removeprefix('torch.')}")
    print()
    for line in table(made.sizes):
        print(line)
    print()
    for note in made.notes:
        print(note)


def table(sizes: "list[PartSize]") -> list[str]:
    """The lines of a parameter table, with the total and what its last column means."""
    from otter.convert.part_sizes import in_all

    rows = [*sizes, in_all(sizes)]
    width = max(len(row.part) for row in rows)
    lines = [f"{'part':<{width}}  {'parameters':>15}  {'trainable':>15}"]
    lines += [f"{r.part:<{width}}  {r.parameters:>15,}  {r.trainable:>15,}" for r in rows]
    return [*lines, "", *trainable_means(sizes)]


def trainable_means(sizes: "list[PartSize]") -> list[str]:
    """What counts as trainable, said of this model."""
    from otter.convert.part_sizes import OUTPUT_PROJECTION

    tied = all(size.part != OUTPUT_PROJECTION for size in sizes)
    ends = "token embeddings, which are the output projection too" if tied else "token embeddings"
    return [f"Trainable is what a Flamingo-type tuning trains: resampler, gated blocks, {ends}."]
