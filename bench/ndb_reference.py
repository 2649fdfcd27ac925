"""What the code of NDB's authors says of the cases in tests/support/ndb_cases.py.

    python -m bench.ndb_reference path/to/gans-n-gmms/utils/ndb.py

Their code has no licence: it stays outside of this repository, and its numbers alone come in.
"""

import contextlib
import importlib.util
import io
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.ndb_cases import NdbCase, ndb_cases

RESULT = Path("tests/unit/ganlib/evaluation/ndb_reference.json")


def ask(reference: Any, case: NdbCase) -> dict[str, Any]:
    """Flags, divergence and shares of the case, on its own centres."""
    judge = reference.NDB(number_of_bins=len(case.centres), whitening=case.whiten)
    judge.bin_centers = case.centres
    judge.used_d_indices = case.dims
    judge.ref_sample_size = len(case.reals)
    if case.whiten:
        judge.training_mean, judge.training_std = case.reals.mean(0), case.reals.std(0) + judge.ndb_eps
    judge.bin_proportions = np.full(len(case.centres), 1 / len(case.centres))
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 0 / 0 where a bin is empty on both sides
        judge.bin_proportions = judge.evaluate(case.reals)["Proportions"]
        found = judge.evaluate(case.fakes)
    return {
        "real": judge.bin_proportions.tolist(),
        "fake": found["Proportions"].tolist(),
        "different": np.flatnonzero(found["Different-Bins"]).tolist(),
        "js": float(found["JS"]),
    }


def main() -> None:
    """Ask and write."""
    spec = importlib.util.spec_from_file_location("reference", sys.argv[1])
    assert spec is not None
    assert spec.loader is not None
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    found = {name: ask(reference, case) for name, case in ndb_cases().items()}
    RESULT.write_text(json.dumps(found, indent=1) + "\n")
    for name, case in found.items():
        print(f"{name:26} {len(case['different'])} of {len(case['real'])} differ, JS {case['js']:.6f}")


if __name__ == "__main__":
    main()
