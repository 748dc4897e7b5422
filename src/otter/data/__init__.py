"""What the model reads: records, the store that holds them, and how episodes are chosen and mixed.

No file here imports torch: checking or reading a dataset starts at once.
"""

from otter.data.hub import pull, push
from otter.data.in_context import POLICIES, Candidates
from otter.data.merging import merge
from otter.data.mixture import Mixture, Part
from otter.data.records import DataError, Problem, Record, check_record
from otter.data.relating import rewrite_related
from otter.data.sharding import Shards, shard
from otter.data.store import Store, StoredRecord
from otter.data.videos import VideoReference
from otter.data.writer import StoreWriter, append

__all__ = [
    "POLICIES",
    "Candidates",
    "DataError",
    "Mixture",
    "Part",
    "Problem",
    "Record",
    "Shards",
    "Store",
    "StoreWriter",
    "StoredRecord",
    "VideoReference",
    "append",
    "check_record",
    "merge",
    "pull",
    "push",
    "rewrite_related",
    "shard",
]
