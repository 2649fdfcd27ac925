"""Rules on what the generator makes: collapse, memorisation, and how its quality moves."""

import math

import numpy as np

from ganlib.diagnosis import thresholds as at
from ganlib.diagnosis.dynamic_rules import discriminator_wins
from ganlib.diagnosis.evidence import finding, of_outcome, of_outcomes, of_window
from ganlib.diagnosis.signals import RelativeEvaluation, Signals
from ganlib.diagnosis.statistics.trend import Remaining, projection
from ganlib.diagnosis.verdict import Evidence, Finding
from ganlib.diagnosis.words import bare, course_words, epochs_words, percent_words


def no_equilibrium(signals: Signals) -> Finding | None:
    """The generator's loss is far above its healthy band and the samples are poor.

    A generator that only repeats itself is told easily: then the discriminator's lead is a symptom, not the cause.
    """
    window, result = signals.dynamics, signals.outcome
    accuracy = (window.d_acc_real + window.d_acc_fake) / 2
    unsettled = window.g_loss > at.UNSETTLED_G_LOSS.value and accuracy > at.UNSETTLED_ACCURACY.value
    if signals.updates < at.REPEATING_UPDATES or not (signals.is_full and signals.bce and unsettled):
        return None
    if discriminator_wins(signals) is not None:
        return None
    if result is None:
        return _far_ahead(signals)
    if result.quality >= at.POOR_QUALITY.value or result.distance < at.REPEATING.value:
        return None
    return finding(
        "convergence failure: no equilibrium",
        "severe" if window.g_loss > at.LOST_G_LOSS.value else "moderate",
        f"The discriminator is far ahead, g_loss is {course_words(window.g_loss, window.g_loss_before)}, and the "
        "samples are poor.",
        of_window(window, "g_loss", window.g_loss, ">", at.UNSETTLED_G_LOSS),
        of_window(window, "d_acc", accuracy, ">", at.UNSETTLED_ACCURACY),
        of_outcome(result, "quality / null", result.quality, "<", at.POOR_QUALITY),
    )


def _far_ahead(signals: Signals) -> Finding | None:
    """Where no samples were looked at: a lead so large and so long that no good run has had it."""
    window = signals.lead
    accuracy = (window.d_acc_real + window.d_acc_fake) / 2
    lost = window.g_loss > at.LOST_G_LOSS.value and accuracy > at.FAR_AHEAD.value
    if not lost or window.updates < at.LEAD_UPDATES:
        return None
    return finding(
        "convergence failure: no equilibrium",
        "severe",
        f"The discriminator has been far ahead for {window.updates} updates, and g_loss is "
        f"{bare(f'{window.g_loss:.3g}')}; no samples were looked at.",
        of_window(window, "g_loss", window.g_loss, ">", at.LOST_G_LOSS),
        of_window(window, "d_acc", accuracy, ">", at.FAR_AHEAD),
    )


def mode_collapse(signals: Signals) -> Finding | None:
    """Fakes repeat, or leave out far more of the data than samples of any quality do by their quality alone."""
    last = signals.outcomes[-2:]  # one evaluation may be a moment in passing: samples come to life mode after mode
    if not last or not signals.is_full:
        return None
    if not all(_is_collapsed(result, signals.updates) for result in last):
        return None
    result = last[-1]
    complete = (
        result.distance < at.REPEATING_COMPLETELY.value
        or result.spread < at.NARROW.value
        or result.missing_mass > at.COMPLETE_MISSING_MASS.value
    )
    sign = _sign_of_collapse(result)
    evidence = [_left_out_mass(result)] if sign is None else [sign]
    if sign is not None and result.missing_mass > at.MISSING_MASS.value:
        evidence.append(of_outcome(result, "missing mass", result.missing_mass, ">", at.MISSING_MASS, "ndb"))
    return finding(
        "mode collapse",
        "severe" if complete else "moderate",
        _words_of_collapse(result),
        *evidence,
    )


def memorisation(signals: Signals) -> Finding | None:
    """Fakes lie nearer to the training data than unseen reals would."""
    result = signals.outcome
    if result is None or not result.memorisation >= at.MEMORISED.value or not result.copies >= at.COPIES.value:
        return None
    return finding(
        "memorisation",
        "severe" if result.copies >= at.MOSTLY_COPIES.value else "moderate",
        f"Of the samples {percent_words(result.copies)} are nearer to a training sample than all but 1 % of unseen "
        "reals: the generator gives training data back instead of something new like it.",
        of_outcome(result, "chance that a fake is nearer than an unseen real", result.memorisation, ">=", at.MEMORISED),
        of_outcome(result, "share of fakes that are copies", result.copies, ">=", at.COPIES),
    )


def deceptive_loss(signals: Signals) -> Finding | None:
    """Losses in their healthy band over the last third of the budget, and samples far from real that stay so."""
    third, results = signals.last_third, signals.late_outcomes
    if third is None or not (signals.is_full and signals.bce and len(results) >= at.LATE_EVALUATIONS):
        return None
    low_d, high_d, low_g, high_g = at.BALANCED_D_LOSS, at.UNBALANCED_D_LOSS, at.BALANCED_G_LOSS, at.UNBALANCED_G_LOSS
    if not (low_d.value <= third.d_loss <= high_d.value and low_g.value <= third.g_loss <= high_g.value):
        return None
    collapsed, quality = mode_collapse(signals), signals.late_quality
    may_rise = signals.updates < at.YOUNG_UPDATES or signals.quality_trend() is None or signals.is_rising
    is_poor = quality < at.POOR_QUALITY.value and not may_rise
    if not is_poor and collapsed is None:
        return None
    evidence = [
        of_window(third, "d_loss", third.d_loss, "<=", high_d),
        of_window(third, "g_loss", third.g_loss, "<=", high_g),
    ]
    if is_poor:
        late = results[-at.LATE_EVALUATIONS :]
        evidence.append(of_outcomes(late, "quality / null", quality, "<", at.POOR_QUALITY))
    elif collapsed is not None:
        evidence += collapsed.evidence[:1]
    return finding(
        "deceptive loss",
        "moderate",
        "The losses look as those of a good run do, but the samples "
        + ("are far from the data, and stay so." if is_poor else "have collapsed, good as each of them may be."),
        *evidence,
    )


def stalled(signals: Signals) -> Finding | None:
    """Poor samples that have not become better over the last third of the budget."""
    results = signals.late_outcomes
    change = signals.quality_trend() if signals.is_over and signals.updates >= at.YOUNG_UPDATES else None
    if change is None:
        return None
    quality = signals.late_quality
    if quality >= at.POOR_QUALITY.value or change.change >= at.GAIN.value:
        return None
    epochs = epochs_words(results[0].epoch, results[-1].epoch)
    course = "hardly become better" if abs(change.change) < at.GAIN.value else "become worse"
    return finding(
        "stalled",
        "moderate",
        f"The samples are poor, and over {epochs} they have {course}.",
        of_outcomes(results[-at.LATE_EVALUATIONS :], "quality / null", quality, "<", at.POOR_QUALITY),
    )


def slow_convergence(signals: Signals) -> Finding | None:
    """Samples that became better until late in the budget. Information: it goes with a healthy verdict."""
    results = signals.late_outcomes
    change = signals.quality_trend() if signals.is_over else None
    if change is None:
        return None
    line = projection(np.array([r.epoch for r in results]), np.array([r.quality for r in results]))
    if line is None:
        return None
    if change.p_rising >= at.TREND_P.value or change.change < at.GAIN.value or line.level >= at.FINISHED.value:
        return None
    return finding(
        "slow convergence",
        "mild",
        f"Over {epochs_words(results[0].epoch, results[-1].epoch)} the samples became better"
        + _words_of_what_is_left(line.projected_epochs(at.FINISHED.value)),
        of_outcomes(results, "p of no rise in quality", change.p_rising, "<", at.TREND_P),
    )


def _words_of_what_is_left(to_go: Remaining) -> str:
    """A line may rise over all the late evaluations and not over the last of them."""
    if not math.isfinite(to_go.expected):
        return ", though not in the last of them."
    least = f", and at the least {to_go.soonest:.0f}" if to_go.soonest < to_go.expected else ""
    return f", and not finished; at the pace of the last it takes about {to_go.expected:.0f} more epochs{least}."


def _words_of_collapse(result: RelativeEvaluation) -> str:
    """Each sign that is there, and no other."""
    seen: list[str] = []
    if result.distance < at.REPEATING.value:
        seen.append("makes the same few samples again and again")
    if result.spread < at.NARROW.value:
        seen.append("makes samples that differ far less than the data does")
    if result.missing_mass > at.MISSING_MASS.value:
        seen.append(f"leaves out {percent_words(result.missing_mass)} of the training data")
    if np.isfinite(result.recognised) and result.unevenness > _uneven(result).value:
        seen.append("makes some classes far more often than others")
    return f"The generator {', and '.join(seen)}."


def _is_collapsed(result: RelativeEvaluation, updates: int) -> bool:
    alike = result.distance < at.REPEATING_COMPLETELY.value or result.spread < at.NARROW.value
    if alike and updates >= at.REPEATING_UPDATES:
        return True
    return _show_something(result) and (result.distance < at.REPEATING.value or _leaves_out(result))


def _show_something(result: RelativeEvaluation) -> bool:
    """Whether the fakes are more than noise: by the classes where they are known.

    Blank images are precise where reals are dark, so that the untrained generator's precision may be that of real data.
    """
    if np.isfinite(result.recognised):
        return result.recognised >= at.RECOGNISED.value
    return result.precision > result.noise + at.QUALITY_ABOVE_NOISE.value


def _leaves_out(result: RelativeEvaluation) -> bool:
    """By the classes where they are known, else by the bins."""
    if not np.isfinite(result.recognised):
        return result.missing_mass > _left_out(result).value
    return result.unevenness > _uneven(result).value


def _uneven(result: RelativeEvaluation) -> at.Threshold:
    return at.UNEVEN if result.recognised >= at.MOSTLY_RECOGNISED.value else at.VERY_UNEVEN


def _sign_of_collapse(result: RelativeEvaluation) -> Evidence | None:
    """The sign that is no missing mass; None where that is the only one."""
    if result.distance < at.REPEATING.value:
        return of_outcome(result, "nearest fake-fake distance / null", result.distance, "<", at.REPEATING)
    if result.spread < at.NARROW.value:
        return of_outcome(result, "spread of the fakes / null", result.spread, "<", at.NARROW)
    if np.isfinite(result.recognised):
        return of_outcome(result, "KL(fakes || data) over classes", result.unevenness, ">", _uneven(result))
    return None


def _left_out_mass(result: RelativeEvaluation) -> Evidence:
    return of_outcome(result, "missing mass", result.missing_mass, ">", _left_out(result), "ndb")


def _left_out(result: RelativeEvaluation) -> at.Threshold:
    return at.MISSING_MASS if result.precision >= at.MOSTLY_PRECISE.value else at.LEFT_OUT_MASS
