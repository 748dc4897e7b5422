"""``otter data merge | shard | push | pull``: whole stores, joined, divided, sent and fetched."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from otter.cli.failure import fail

if TYPE_CHECKING:
    from otter.data import Store


class Visibility(StrEnum):
    """Who sees a repository that is made."""

    PRIVATE = "private"
    PUBLIC = "public"


Stores = Annotated[
    list[Path], typer.Argument(metavar="STORE...", help="Two or more stores.", show_default=False)
]
OneStore = Annotated[Path, typer.Argument(metavar="STORE", help="A store.", show_default=False)]
Out = Annotated[
    Path, typer.Option("--out", metavar="OUT", help="A new folder.", show_default=False)
]
Prefix = Annotated[
    bool, typer.Option("--prefix", help="Put the name of its store before every id.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the store at OUT.")]
Count = Annotated[int, typer.Option("--shards", min=1, help="How many.", show_default=False)]
Cut = Annotated[
    bool, typer.Option("--cut", help="Leave out examples rather than refuse to divide.")
]
Repository = Annotated[
    str,
    typer.Argument(
        metavar="REPO", help="A dataset of the Hugging Face hub: owner/name.", show_default=False
    ),
]
Visible = Annotated[Visibility, typer.Option("--visibility", help="Of a REPO that is made.")]
Card = Annotated[bool, typer.Option("--card/--no-card", help="Write a dataset card.")]
Revision = Annotated[
    str | None,
    typer.Option("--revision", metavar="REV", help="Branch, tag or commit.", show_default=False),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="OUT", help="Where to put it; the hub's cache.", show_default=False
    ),
]


def merge(stores: Stores, out: Out, prefix: Prefix = False, overwrite: Overwrite = False) -> None:
    """Write the records of several stores to one.

    A picture that several stores hold is stored once. Ids that collide are all named, and nothing
    is written; --prefix makes them differ.

    Example: otter data merge LA SD --out both
    """
    from otter.data import merge as run

    try:
        merged = run(stores, out, on_collision="prefix" if prefix else "error", overwrite=overwrite)
    except (OSError, ValueError) as error:
        fail("data merge", error)
    _show(merged)


def shard(store: OneStore, out: Out, shards: Count, cut: Cut = False) -> None:
    """Divide a store into several of about the same size.

    Records stay together with their examples and pictures.

    Example: otter data shard LA --out LA-shards --shards 8
    """
    from otter.data import shard as run

    try:
        written = run(store, out, shards=shards, cut=cut)
    except (OSError, ValueError) as error:
        fail("data shard", error)
    for folder, records in zip(written.folders, written.records, strict=True):
        print(f"{folder}: {records:,} records")
    if written.cut:
        print(f"{written.cut:,} examples were left out: their records are in other shards.")


def push(
    store: OneStore,
    repository: Repository,
    visibility: Visible = Visibility.PRIVATE,
    card: Card = True,
) -> None:
    """Upload a store to the Hugging Face hub.

    It is verified first. Videos are not uploaded: a store only names their files.

    Example: otter data push store owner/name
    """
    from otter.data import push as run

    try:
        private = visibility is Visibility.PRIVATE
        address = run(store, repository, private=private, card=card)
    except (OSError, ValueError) as error:
        fail("data push", error)
    print(address)


def pull(repository: Repository, out: Folder = None, revision: Revision = None) -> None:
    """Fetch a store from the Hugging Face hub, and verify it.

    Example: otter data pull owner/name --out store
    """
    from otter.data import pull as run

    try:
        store = run(repository, out, revision=revision)
    except (OSError, ValueError) as error:
        fail("data pull", error)
    _show(store)


def _show(store: "Store") -> None:
    videos = f", {store.video_count:,} videos" if store.video_count else ""
    print(f"{store.folder}: {len(store):,} records, {store.image_count:,} images{videos}")
