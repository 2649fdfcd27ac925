"""Take disputed verdicts into the suite: what people said of their runs becomes runs and labels of it.

    ganclinic labels --export > labels.jsonl      # or GET /v1/labels/export
    python -m bench.verdicts.adopt labels.jsonl   # adds to bench/verdicts/adopted.jsonl
    make bench-verdicts-record                    # trains them again, with the oracle watching

A run is adopted where its spec and seed make it again and the oracle knows its data; the others are named, with the
reason. Labels of the whole run have the last word (see `labels`): two people who disagree leave a finding as the
oracle and the curves have it, and the run as argued about.
"""

import argparse
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ganlib.findings import FINDING_NAMES
from ganlib.spec.data import MixtureDataset
from ganlib.spec.request import InvalidRequest, RunRequest
from ganlib.spec.run import RunSpec

ADOPTED = Path(__file__).parent / "adopted.jsonl"
JUDGED = ("mnist-5k", "fashion-mnist")
"""Images that the oracle has a classifier for, of SIDE pixels a side."""
SIDE = 28
MOST_OF_FASHION = 5000
"""Its first images, which the oracle learns nothing from."""

HARMFUL = tuple(name for name in FINDING_NAMES if name != "slow convergence")


class NotAdoptable(ValueError):
    """A labelled run that the suite cannot make again or judge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """A run of somebody's with what people said of it."""

    spec_hash: str
    spec: dict[str, Any]
    labels: tuple[dict[str, Any], ...]
    """Each with `finding`, `holds`, `author` and `note`."""

    @property
    def review(self) -> dict[str, Any]:
        """As a table of `reviewed.toml`: what people agree is there, or is not, and why."""
        said: dict[str, set[bool]] = {}
        for label in self.labels:
            said.setdefault(label["finding"], set()).add(label["holds"])
        healthy = said.pop("healthy", set()) == {True}
        unnamed = set(HARMFUL) - said.keys() if healthy else set[str]()
        return {
            "present": sorted(finding for finding, holds in said.items() if holds == {True}),
            "absent": sorted({finding for finding, holds in said.items() if holds == {False}} | unnamed),
            "reason": "; ".join(f"{label['author']}: {label['note'] or label['finding']}" for label in self.labels),
        }


def adopted() -> list[Adopted]:
    """What the suite has adopted, in the order of the file."""
    return list(_read(ADOPTED.read_text().splitlines())) if ADOPTED.exists() else []


@cache
def reviews() -> dict[str, dict[str, Any]]:
    """What people said, by spec hash."""
    return {run.spec_hash: run.review for run in adopted()}


def adopt(lines: Iterable[str]) -> tuple[list[Adopted], list[str]]:
    """The adoptable runs of an export, each once with all its labels, and why the others are not."""
    kept: dict[str, Adopted] = {}
    refused: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            run = _adoptable(json.loads(line))
        except (NotAdoptable, KeyError, TypeError, json.JSONDecodeError) as error:
            why = f"no {error}" if isinstance(error, KeyError) else str(error)
            refused.append(f"line {number}: {why}")
            continue
        known = kept[run.spec_hash].labels if run.spec_hash in kept else ()
        labels = [*known, *(label for label in run.labels if label not in known)]
        kept[run.spec_hash] = Adopted(spec_hash=run.spec_hash, spec=run.spec, labels=tuple(labels))
    return list(kept.values()), refused


def _adoptable(line: dict[str, Any]) -> Adopted:
    if line.get("epoch") is not None:
        raise NotAdoptable("the label is of one epoch, and the suite labels whole runs")
    if line.get("warm_start") is not None:
        raise NotAdoptable("the run began with another run's weights, which the suite has not")
    try:
        spec = RunRequest(spec=line["spec"]).resolve()
    except InvalidRequest as error:
        raise NotAdoptable(f"the spec is not valid here: {error}") from error
    if not _is_known(spec):
        raise NotAdoptable(
            f"the oracle does not know the data set {spec.dataset.name} as it is there; it knows mixtures in the "
            f"plane, and of {SIDE} pixels a side {JUDGED[0]} and the first {MOST_OF_FASHION} of {JUDGED[1]}"
        )
    label = {name: line[name] for name in ("finding", "holds", "author", "note")}
    return Adopted(spec_hash=line["spec_hash"], spec=_evaluated_often(spec), labels=(label,))


def _is_known(spec: RunSpec) -> bool:
    if isinstance(spec.dataset, MixtureDataset):
        return spec.data.shape == (2,)
    limit = getattr(spec.dataset, "limit", None)
    is_apart = spec.dataset.name != "fashion-mnist" or (limit is not None and limit <= MOST_OF_FASHION)
    return spec.dataset.name in JUDGED and spec.data.shape[1:] == (SIDE, SIDE) and is_apart


def _evaluated_often(spec: RunSpec) -> dict[str, Any]:
    """The spec as JSON, evaluated after every epoch as all of the suite is; that changes nothing it learns."""
    document: dict[str, Any] = spec.model_dump(mode="json")
    return document | {"evaluation": document["evaluation"] | {"every_epochs": 1}}


def _read(lines: Iterable[str]) -> Iterator[Adopted]:
    for line in lines:
        document = json.loads(line)
        yield Adopted(spec_hash=document["spec_hash"], spec=document["spec"], labels=tuple(document["labels"]))


def main() -> None:
    """Add an export's labels to those that are adopted already."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path, help="what `ganclinic labels --export` wrote")
    options = parser.parse_args()
    new, refused = adopt(options.export.read_text().splitlines())
    runs = {run.spec_hash: run for run in adopted()}
    for run in new:
        known = runs[run.spec_hash].labels if run.spec_hash in runs else ()
        labels = (*known, *(label for label in run.labels if label not in known))
        runs[run.spec_hash] = Adopted(spec_hash=run.spec_hash, spec=run.spec, labels=labels)
    rows = [{"spec_hash": run.spec_hash, "spec": run.spec, "labels": run.labels} for run in runs.values()]
    ADOPTED.write_text("".join(json.dumps(row) + "\n" for row in rows))
    print(f"{len(new)} runs of {options.export} are in {ADOPTED}, which has {len(runs)}")
    for reason in refused:
        print(f"not adopted, {reason}")


if __name__ == "__main__":
    main()
