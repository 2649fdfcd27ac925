"""The hash of a spec: equal specs, equal hashes. Imports no torch."""

import hashlib
import json

from ganlib.spec.comparison import ComparisonSpec
from ganlib.spec.run import RunSpec
from ganlib.spec.watched import LookSpec, WatchedSpec

Hashed = RunSpec | ComparisonSpec | WatchedSpec | LookSpec


def canonical_json(spec: Hashed, *left_out: str) -> str:
    """The spec with every default written out, keys sorted, no white space; without what these dotted paths name."""
    document = spec.model_dump(mode="json")
    for path in left_out:
        *parents, last = path.split(".")
        part = document
        for key in parents:
            part = part.get(key, {})
        part.pop(last, None)
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)


UNHASHED = ("diagnosis", "resources.max_hours", "resources.gpu_memory_gb", "resources.gpus", "resources.labels")


def spec_hash(spec: Hashed) -> str:
    """SHA-256 of the canonical JSON, 64 hex digits: equal specs have equal hashes.

    Leaves out what changes nothing that is computed: `diagnosis` and `resources.max_hours`, which say when a training
    may end early, `resources.gpu_memory_gb`, `resources.labels`, and, up to rounding, `resources.gpus`. A precision of
    float32 is left out, too: specs had this hash before they could say another.
    """
    is_plain = isinstance(spec, RunSpec) and spec.training.precision == "float32"
    unhashed = (*UNHASHED, "training.precision") if is_plain else UNHASHED
    return hashlib.sha256(canonical_json(spec, *unhashed).encode()).hexdigest()
