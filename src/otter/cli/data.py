"""``otter data``: what the model reads, imported, checked, looked at, chosen and passed on."""

import typer

from otter.cli.data_check import check
from otter.cli.data_context import context
from otter.cli.data_export import export
from otter.cli.data_import import data_formats, data_import
from otter.cli.data_report import report
from otter.cli.data_show import show
from otter.cli.data_store import merge, pull, push, shard

app = typer.Typer(
    help="Import, check, look at and pass on data.", no_args_is_help=True, rich_markup_mode=None
)

app.command("import", short_help="Make a store of a dataset.")(data_import)
app.command("formats", short_help="What can be imported, and how it has to lie on disk.")(
    data_formats
)
app.command("check", short_help="Say what is wrong with a store.")(check)
app.command("show", short_help="Leaf through episodes on a page.")(show)
app.command("report", short_help="What a store is made of, as a page.")(report)
app.command("context", short_help="Choose the worked examples.")(context)
app.command("merge", short_help="Make one store of several.")(merge)
app.command("shard", short_help="Make several stores of one.")(shard)
app.command("export", short_help="Write a store in another format.")(export)
app.command("push", short_help="Put a store on the Hugging Face hub.")(push)
app.command("pull", short_help="Fetch a store from there.")(pull)
