"""Rules on the per-step series: who wins, gradients, oscillation."""

import math
from collections.abc import Callable

from ganlib.diagnosis import thresholds as at
from ganlib.diagnosis.evidence import finding, of_outcome, of_window
from ganlib.diagnosis.signals import Dynamics, Pull, Signals
from ganlib.diagnosis.verdict import Evidence, Finding
from ganlib.diagnosis.words import bare, course_words

SMALLEST_LOSS = 1e-30
"""Below it, single precision has rounded a loss to 0."""
MARGINS = ("lsgan", "hinge")
"""Objectives under which a discriminator that is sure of every sample has no loss left, and learns nothing either."""
FAR_BEYOND = 10.0
"""Times its threshold: a gradient is then severe, on either side."""
WHOLE_GENERATOR = "gradient of the whole generator, over the same in the first ten updates"


def divergence(signals: Signals) -> Finding | None:
    """Numbers that are no numbers, or losses beyond any sense."""
    window = signals.dynamics
    if window.finite and window.largest_loss < at.EXPLODED_LOSS.value:
        return None
    value = window.largest_loss if window.finite else math.inf
    found = finding(
        "divergence",
        "severe",
        f"A loss has reached {value:.2g}, which no sane weights give: they have blown up."
        if window.finite
        else "Losses, logits or gradients are no longer finite numbers: the weights have blown up.",
        of_window(window, "largest loss" if window.finite else "loss or gradient", value, ">=", at.EXPLODED_LOSS),
    )
    # nothing else has to be seen, and nothing that was not could speak against a number that is none
    return found if window.finite else found.beyond_doubt()


def both_losses_vanish(signals: Signals) -> Finding | None:
    """The discriminator tells every fake, and yet the generator's loss is lower than it can be of the same fakes."""
    window = signals.dynamics
    least = LEAST_G_LOSS.get(signals.objective)
    if least is None or not signals.is_full:
        return None
    vanished = _vanished_d_loss(signals)
    if not vanished.value < vanished.threshold:
        return None
    share = window.g_loss / least(window.d_loss_fake)
    if not share < at.IMPOSSIBLE_G_LOSS.value:  # nor where the generator's loss is not known
        return None
    return finding(
        "convergence failure: both losses vanish",
        "severe",
        f"The discriminator tells the fakes, yet the generator's loss is {bare(f'{window.g_loss:.2g}')}, less than the "
        "same fakes can give it: the two updates see different batch statistics, and the generator learns nothing.",
        of_window(window, "g_loss over the least that d_loss_fake allows", share, "<", at.IMPOSSIBLE_G_LOSS),
        vanished,
    )


def _vanished_d_loss(signals: Signals) -> Evidence:
    """How near to 0 the discriminator's loss is: in nats, or as a share of what guesses cost."""
    window = signals.dynamics
    if signals.bce:
        return of_window(window, "d_loss", window.d_loss, "<", at.VANISHED_D_LOSS)
    share = window.d_loss / signals.chance
    return of_window(window, "d_loss over that of guesses", share, "<", at.VANISHED_SHARE)


def _least_cross_entropy(d_loss_fake: float) -> float:
    return -math.log(-math.expm1(-max(d_loss_fake, SMALLEST_LOSS)))


def _least_square(d_loss_fake: float) -> float:
    """E[(1 - x)²] >= (1 - √E[x²])², by Minkowski's inequality; half of it where the generator's loss is halved."""
    return max(1 - math.sqrt(max(d_loss_fake, 0.0)), SMALLEST_LOSS) ** 2 / 2


def _least_score(d_loss_fake: float) -> float:
    """E[max(0, 1 + x)] >= 1 + E[x], and g_loss = -E[x]."""
    return max(1 - d_loss_fake, SMALLEST_LOSS)


LEAST_G_LOSS: dict[str, Callable[[float], float]] = {
    "bce": _least_cross_entropy,
    "clamped-bce": _least_cross_entropy,
    "lsgan": _least_square,
    "hinge": _least_score,
}
"""By objective: what fakes that cost the discriminator so much cost the generator at the least."""


def discriminator_wins(signals: Signals) -> Finding | None:
    """The discriminator is never wrong, and the generator's loss is high or rising, or its samples stay poor."""
    if not signals.is_full or both_losses_vanish(signals) is not None:
        return None
    return _wins_by_levels(signals) or _wins_by_share_of_chance(signals) or _wins_by_ranks(signals)


def _wins_by_levels(signals: Signals) -> Finding | None:
    """As published: accuracy 100 %, loss 0."""
    window = signals.dynamics
    rising = window.g_loss > at.RISING_G_LOSS.value * window.g_loss_before
    lost = window.g_loss > at.LOST_G_LOSS.value or (rising and window.g_loss > at.UNSETTLED_G_LOSS.value)
    if not (signals.bce and _certain(window) and window.d_loss < at.VANISHED_D_LOSS.value and lost):
        return None
    return finding(
        "convergence failure: discriminator wins",
        "severe",
        f"The discriminator is hardly ever wrong, and g_loss is {course_words(window.g_loss, window.g_loss_before)}: "
        "its gradients tell the generator nothing it could follow.",
        of_window(window, "d_loss", window.d_loss, "<", at.VANISHED_D_LOSS),
        of_window(window, "g_loss", window.g_loss, ">", at.UNSETTLED_G_LOSS if rising else at.LOST_G_LOSS),
        *_certainty(window),
    )


def _wins_by_share_of_chance(signals: Signals) -> Finding | None:
    """The same under least squares and hinge, whose generator's loss has no level that tells: for two windows."""
    window = signals.dynamics
    most = at.VANISHED_SHARE.value
    share = max(window.d_loss, window.d_loss_before) / signals.chance
    if not (signals.objective in MARGINS and _certain(window) and share < most):
        return None
    return finding(
        "convergence failure: discriminator wins",
        "severe",
        "The discriminator is hardly ever wrong and beyond its margin with nearly every sample, and has been for "
        f"{2 * at.WINDOW_UPDATES} updates: the generator cannot follow.",
        of_window(window, "d_loss over that of guesses", share, "<", at.VANISHED_SHARE),
        *_certainty(window),
    )


def _wins_by_ranks(signals: Signals) -> Finding | None:
    """Under any objective: every real has a higher logit than every fake, and the samples stay poor."""
    window, result = signals.dynamics, signals.outcome
    if result is None or signals.updates < at.RANKED_UPDATES or not window.d_auc >= at.SEPARATED.value:
        return None
    if result.quality >= at.HOPELESS_QUALITY.value:
        return None
    return finding(
        "convergence failure: discriminator wins",
        "severe",
        "Every real scores higher than every fake, and the samples are poor: the generator cannot follow.",
        of_window(window, "d_auc", window.d_auc, ">=", at.SEPARATED),
        of_outcome(result, "quality / null", result.quality, "<", at.HOPELESS_QUALITY),
    )


def discriminator_inert(signals: Signals) -> Finding | None:
    """Everything is called real, or everything fake, or loss and accuracies stay worse than those of guesses."""
    return _calls_all_alike(signals) or _worse_than_guessing(signals)


def _calls_all_alike(signals: Signals) -> Finding | None:
    window = signals.dynamics
    all_real = window.d_acc_real >= at.CERTAIN.value and window.d_acc_fake <= at.NEVER.value
    all_fake = window.d_acc_fake >= at.CERTAIN.value and window.d_acc_real <= at.NEVER.value
    if not (signals.is_full and signals.accuracies and (all_real or all_fake)):
        return None
    called = "real" if all_real else "fake"
    real_rule, fake_rule = (at.CERTAIN, at.NEVER) if all_real else (at.NEVER, at.CERTAIN)
    return finding(
        "convergence failure: discriminator inert",
        "severe",
        f"The discriminator calls everything {called}: it does not tell reals from fakes.",
        of_window(window, "d_acc_real", window.d_acc_real, ">=" if all_real else "<=", real_rule),
        of_window(window, "d_acc_fake", window.d_acc_fake, "<=" if all_real else ">=", fake_rule),
    )


def _worse_than_guessing(signals: Signals) -> Finding | None:
    """To say the same of every sample would cost it less, and it does not learn even that.

    A loss may be high for a while, or of a discriminator that is mostly right and at times far wrong.
    """
    window = signals.dynamics
    share, before = window.d_loss / signals.chance, window.d_loss_before / signals.chance
    accuracy = (window.d_acc_real + window.d_acc_fake) / 2
    told = min(window.d_acc_real, window.d_acc_fake) if signals.bounded else accuracy
    is_right = signals.accuracies and told > at.GUESSED_ACCURACY.value
    if not signals.is_full or is_right or not min(share, before) >= at.WORSE_THAN_CHANCE.value:
        return None
    if share < at.STILL_LEARNING.value * before:
        return None
    evidence = [of_window(window, "d_loss over that of guesses", share, ">=", at.WORSE_THAN_CHANCE)]
    if signals.accuracies and not signals.bounded:
        evidence.append(of_window(window, "d_acc", accuracy, "<=", at.GUESSED_ACCURACY))
    return finding(
        "convergence failure: discriminator inert",
        "severe",
        f"The discriminator has been worse than guessing for {2 * at.WINDOW_UPDATES} updates and hardly gets better: "
        "it does not learn.",
        *evidence,
    )


def exploding_gradients(signals: Signals) -> Finding | None:
    """The generator's gradient has grown by orders of magnitude.

    A layer's alone is no sign: one that began near 0 grows as much in good runs.
    """
    if not signals.is_full or not signals.pull >= at.EXPLODED.value:
        return None
    evidence = [of_window(signals.dynamics, WHOLE_GENERATOR, signals.pull, ">=", at.EXPLODED)]
    if signals.strongest is not None and signals.strongest.ratio >= at.EXPLODED_PULL.value:
        evidence.append(_of_pull(signals, signals.strongest, ">=", at.EXPLODED_PULL))
    return finding(
        "exploding gradients",
        "severe" if signals.pull >= FAR_BEYOND * at.EXPLODED.value else "moderate",
        f"The {WHOLE_GENERATOR}, has grown to {signals.pull:,.0f}: such steps may throw away what was learnt.",
        *evidence,
    )


def vanishing_gradients(signals: Signals) -> Finding | None:
    """The generator, or a layer of it, hardly gets a gradient any more, and no evaluation says that it is done."""
    result = signals.outcome
    if not signals.is_full or (result is not None and result.quality >= at.POOR_QUALITY.value):
        return None
    pull = signals.weakest
    evidence: list[Evidence] = []
    if pull is not None and pull.ratio <= at.VANISHED_PULL.value:
        evidence.append(_of_pull(signals, pull, "<=", at.VANISHED_PULL))
    if signals.pull <= at.FADED.value:
        evidence.append(of_window(signals.dynamics, WHOLE_GENERATOR, signals.pull, "<=", at.FADED))
    if not evidence:
        return None
    least = min(sign.value for sign in evidence)
    return finding(
        "vanishing gradients",
        "severe" if least <= at.VANISHED_PULL.value / FAR_BEYOND else "moderate",
        f"The {evidence[0].signal}, has shrunk to {evidence[0].value:.1g}: the generator hardly learns any more"
        + (", though its samples are poor." if result is not None else "; its samples were not looked at."),
        *evidence,
    )


def oscillation(signals: Signals) -> Finding | None:
    """The generator's loss swings at one period. In the first half of the budget that is no alarm yet.

    Good runs swing, too, while their networks settle.
    """
    peak, window = signals.peak, signals.dynamics
    if peak is None or not signals.is_full or peak.p >= at.PERIODIC.value or peak.share < at.SWINGING.value:
        return None
    period = peak.period * signals.updates_per_row
    is_settling = signals.epoch < at.SETTLED_SHARE * signals.epochs_total
    return finding(
        "oscillation",
        "mild" if is_settling else "moderate",
        f"The generator's loss swings with a period of about {period:.0f} steps: the two networks chase each "
        + ("other, as they may while they settle." if is_settling else "other and do not come to rest."),
        of_window(window, "p of the spectral peak of g_loss", peak.p, "<", at.PERIODIC),
        of_window(window, "share of the variance in the peak", peak.share, ">=", at.SWINGING),
    )


def _certain(window: Dynamics) -> bool:
    return window.d_acc_real >= at.CERTAIN.value and window.d_acc_fake >= at.CERTAIN.value


def _certainty(window: Dynamics) -> tuple[Evidence, Evidence]:
    return (
        of_window(window, "d_acc_real", window.d_acc_real, ">=", at.CERTAIN),
        of_window(window, "d_acc_fake", window.d_acc_fake, ">=", at.CERTAIN),
    )


def _of_pull(signals: Signals, pull: Pull, comparison: str, cut: at.Threshold) -> Evidence:
    signal = f"gradient over weight of {pull.layer}, over the same in the first updates"
    return of_window(signals.dynamics, signal, pull.ratio, ">=" if comparison == ">=" else "<=", cut)
