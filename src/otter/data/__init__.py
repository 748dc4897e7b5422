"""What the model reads: records, the store that holds them, and how episodes are chosen and mixed.

No file here imports torch: checking or reading a dataset starts at once.
"""

from otter.data.in_context import POLICIES, Candidates
from otter.data.mixture import Mixture, Part
from otter.data.records import DataError, Problem, Record, check_record
from otter.data.store import Store, StoredRecord
from otter.data.writer import StoreWriter

__all__ = [
    "POLICIES",
    "Candidates",
    "DataError",
    "Mixture",
    "Part",
    "Problem",
    "Record",
    "Store",
    "StoreWriter",
    "StoredRecord",
    "check_record",
]
