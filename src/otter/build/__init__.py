"""Making datasets: importing what people have, choosing examples, checking, showing, exporting.

from otter.build.importing import import_source
from otter.build.sources import open_source

import_source(open_source("llava", ["chats.json"], {"images": "photos"}), "store")
"""
