"""What is wrong with a text of Prometheus: what its parser refuses, and what `promtool check metrics` says."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

OTHER_UNITS = re.compile("(milli|micro|nano)?seconds?|minutes?|hours?|(kilo|mega|giga)?bytes?|percent")
BASE_UNITS = {"seconds", "bytes"}
TYPES = {"counter", "gauge", "histogram", "summary"}


def complaints(text: str) -> list[str]:
    """One a fault, with the name of the metric; none where all is well.

    Raises:
        ValueError: it is no text of Prometheus.
    """
    typed = [line.split()[2:4] for line in text.splitlines() if line.startswith("# TYPE ")]
    found = [f"{name}: is there twice" for name, count in Counter(name for name, _ in typed).items() if count > 1]
    for name, kind in typed:
        if (kind == "counter") != name.endswith("_total"):
            found.append(f"{name}: counters, and nothing else, end in _total")
    for family in text_string_to_metric_families(text):
        found.extend(f"{family.name}: {fault}" for fault in _faults(family))
    return found


def _faults(family: Metric) -> Iterator[str]:
    if not family.documentation:
        yield "no help"
    if family.type not in TYPES:
        yield "no type"
    if family.name.endswith(("_sum", "_count", "_bucket")):
        yield "the name is that of a part"
    if any(OTHER_UNITS.fullmatch(word) and word not in BASE_UNITS for word in family.name.split("_")):
        yield "no base unit"
    labels = [(sample.name, frozenset(sample.labels.items())) for sample in family.samples]
    if len(set(labels)) < len(labels):
        yield "a sample is there twice"
    if family.type == "histogram":
        yield from _faults_of_buckets(family.samples)


def _faults_of_buckets(samples: Iterable[Sample]) -> Iterator[str]:
    def series(sample: Sample) -> list[tuple[str, str]]:
        return sorted((name, value) for name, value in sample.labels.items() if name != "le")

    for _, grouped in groupby(sorted(samples, key=series), key=series):
        some = list(grouped)
        buckets = {float(s.labels["le"]): s.value for s in some if s.name.endswith("_bucket")}
        counts = [buckets[edge] for edge in sorted(buckets)]
        if any(before > after for before, after in pairwise(counts)):
            yield "its buckets fall"
        if buckets.get(float("inf")) not in [s.value for s in some if s.name.endswith("_count")]:
            yield "the last bucket is not the count"
