"""Which remedies fit a spec. Imports no torch."""

from ganlib.spec.fields import RunFields
from ganlib.spec.objective import BCE_OBJECTIVES
from ganlib.spec.remedies import GeneratorPerClass


def check_remedies(spec: RunFields) -> None:
    """Returns where every remedy of the spec fits it.

    Raises:
        ValueError: one does not; its field is named first.
    """
    _check_objective(spec)
    _check_images(spec)
    _check_packs(spec)
    _check_replay(spec)
    _check_unrolling(spec)
    _check_generators(spec)


def _check_objective(spec: RunFields) -> None:
    if spec.remedies.label_smoothing is not None and spec.objective.name not in BCE_OBJECTIVES:
        allowed = ", ".join(f"'{name}'" for name in BCE_OBJECTIVES)
        raise ValueError(
            f"remedies.label_smoothing: '{spec.objective.name}' has no labels to smooth; allowed: null, or one of the "
            f"objectives {allowed}"
        )


def _check_images(spec: RunFields) -> None:
    for name in ("diff_augment", "adaptive_augment"):
        part = getattr(spec.remedies, name)
        if part is None:
            continue
        if len(spec.data.shape) != 3:
            raise ValueError(f"remedies.{name}: needs images, {spec.dataset.name} has points; allowed: null")
        if len(set(part.ops)) != len(part.ops):
            raise ValueError(f"remedies.{name}.ops: each operation may be named once")
    if spec.remedies.diff_augment is not None and spec.remedies.adaptive_augment is not None:
        raise ValueError("remedies.adaptive_augment: 'diff_augment' does the same already; allowed: one of the two")


def _check_packs(spec: RunFields) -> None:
    if spec.packing == 1:
        return
    smallest = min(spec.training.batch_size, _smallest_discriminator_batch(spec))
    if smallest < spec.packing:
        raise ValueError(
            f"remedies.packing.samples: {spec.packing} do not fit into the smallest batch, of {smallest}; "
            f"allowed: up to {smallest}"
        )
    if spec.evaluation.space == "discriminator":
        raise ValueError("evaluation.space: 'discriminator' sees packs of samples, not single ones; allowed: 'pixels'")
    if spec.discriminator.condition != "none":
        raise ValueError("remedies.packing: a pack has no single class; allowed: null where networks are conditional")


def _check_unrolling(spec: RunFields) -> None:
    optimizer = spec.discriminator_optimizer or spec.optimizer
    if spec.remedies.unrolling is not None and optimizer.name != "adam":
        raise ValueError(f"remedies.unrolling: cannot follow '{optimizer.name}'; allowed: a discriminator under 'adam'")


def _check_replay(spec: RunFields) -> None:
    if spec.remedies.replay is not None and spec.discriminator.condition != "none":
        raise ValueError(
            "remedies.replay: earlier fakes are of other classes; allowed: null where networks are conditional"
        )


def _check_generators(spec: RunFields) -> None:
    several = spec.remedies.generators
    if several is None:
        return
    norm = getattr(spec.generator, "norm", None)
    needs_pairs = spec.generator.family == "mlp" and norm is not None and norm.kind == "batch"
    if isinstance(several, GeneratorPerClass):
        if spec.generator.condition == "none":
            raise ValueError(
                "remedies.generators.kind: 'per_class' needs a discriminator that is told the class; allowed: "
                "'mixture', or conditional networks"
            )
        if needs_pairs:
            raise ValueError("generator.norm: 'batch' fails on a class's only sample in a batch; allowed: other norms")
        return
    for name in ("packing", "replay"):
        if getattr(spec.remedies, name) is not None:
            raise ValueError(
                f"remedies.{name}: mixes fakes of several generators, which 'generators' tells apart; allowed: null"
            )
    smallest = min(spec.training.batch_size, _smallest_discriminator_batch(spec))
    most = smallest // 2 if needs_pairs else smallest
    if several.count > most:
        raise ValueError(
            f"remedies.generators.count: {several.count} do not share the smallest batch, of {smallest}; "
            f"allowed: 2 to {most}"
        )
    if needs_pairs and spec.evaluation.fake_statistics == "batch":
        _check_sampled(spec, several.count)


def _check_sampled(spec: RunFields, generators: int) -> None:
    # More than 500 samples are made in parts of at least 250, in which 64 generators have two each.
    counts = {"samples.count": spec.samples.count, "evaluation.num_samples": spec.evaluation.num_samples}
    for field, count in counts.items():
        if count < 2 * generators:
            raise ValueError(
                f"{field}: {count} samples are not two for each of the {generators} generators, whose batch norm needs "
                f"them; allowed: at least {2 * generators}, or evaluation.fake_statistics = 'moving'"
            )


def _smallest_discriminator_batch(spec: RunFields) -> int:
    batch = spec.discriminator_batch_size
    return batch if spec.training.sampling == "with_replacement" else spec.dataset.size % batch or batch
