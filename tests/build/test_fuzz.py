"""No damaged dataset crashes an importer, and none costs a record that it does not touch.

``benchmarks/data_fuzz.py`` draws thousands of the same kind.
"""

from itertools import islice
from pathlib import Path

import pytest
from tests.build.fuzz.damage import cases
from tests.build.fuzz.datasets import datasets
from tests.build.fuzz.pieces import Dataset
from tests.build.fuzz.verdict import faults, run

CASES = 6
SEED = 0


@pytest.mark.parametrize("dataset", datasets(slow=False), ids=lambda dataset: dataset.name)
def test_damage_costs_only_what_it_touches_and_is_named(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "sound").mkdir()
    dataset.write(tmp_path / "sound")
    sound = run(dataset, tmp_path / "sound", keep_going=False)
    assert set(sound.records) == set().union(*(file.records for file in dataset.files.values()))
    found = []
    for number, case in enumerate(islice(cases(dataset, SEED), CASES)):
        folder = tmp_path / str(number)
        folder.mkdir()
        found += [f"{case}: {fault.kind}: {fault.text}" for fault in faults(case, sound, folder)]
    assert not found
