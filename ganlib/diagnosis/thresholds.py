"""Every cut-off of the rules, with its source.

PUBLISHED: what the articles report of their runs. RECORDED: runs of the digit8 presets on 500 real eights at width 32
(300 steps) and 64 (450 steps), seeds 0 to 2, every evaluation after 100 updates (`make bench-thresholds`). SUITE: the
suite's runs that thresholds may be set on (`bench.verdicts.fit`). `docs/findings.md` has all three. Other runs judge.
"""

from dataclasses import dataclass

RULESET = "5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A cut-off and where it comes from."""

    value: float
    source: str


WINDOW_UPDATES = 100
"""Updates that the dynamic rules look back: four of the article's 25-step oscillations, so that none decides alone."""

PUBLISHED = "the published signature: accuracy 100 %, loss 0"
SUITE = "the suite's calibration part (bench/results/thresholds_fit.json)"
RECORDED = "recorded digit8 runs at widths 32 and 64 (docs/findings.md)"

CERTAIN = Threshold(value=0.99, source=PUBLISHED)
"""Accuracy from which the discriminator is never wrong."""
NEVER = Threshold(value=0.01, source="the complement of .99")
"""Accuracy up to which the discriminator is always wrong."""
VANISHED_SHARE = Threshold(
    value=0.07,
    source="d_loss over that of guesses, as of .05 in a cross-entropy; hinge and least squares: healthy .48 and more; "
    + SUITE,
)
WORSE_THAN_CHANCE = Threshold(
    value=1.5,
    source="d_loss over two windows, against that of a discriminator that says the same of every sample; "
    "healthy at most 1.0, untrained ones 1.9 and 3.0; " + SUITE,
)
GUESSED_ACCURACY = Threshold(value=0.5, source="guesses are right of every second sample")
STILL_LEARNING = Threshold(value=0.8, source="a loss that falls by a fifth in a window may come down yet")
VANISHED_D_LOSS = Threshold(value=0.05, source=PUBLISHED)
IMPOSSIBLE_G_LOSS = Threshold(
    value=0.75,
    source="of the same fakes g_loss = E[-log p] >= -log E[p] >= -log(1 - exp(-d_loss_fake)), by Jensen's inequality; "
    "three quarters leave room for noise",
)
LOST_G_LOSS = Threshold(value=5.0, source="the published signature: g_loss climbs to 10.4")
RISING_G_LOSS = Threshold(value=1.5, source="half as much again as in the window before")
UNSETTLED_G_LOSS = Threshold(value=2.5, source="healthy runs stay within .5 to 2; " + RECORDED)
UNSETTLED_ACCURACY = Threshold(value=0.9, source="healthy runs stay at .5 to .8; " + RECORDED)
POOR_QUALITY = Threshold(
    value=0.22, source="divides best what an independent oracle calls poor from the rest; " + SUITE
)
EXPLODED_LOSS = Threshold(value=1e4, source="a logit of 1e4 cannot come from data in [-1, 1] and sane weights")

FAIR_QUALITY = Threshold(
    value=0.4,
    source="divides best what an independent oracle gives .4 of the worth of real data from the rest; " + SUITE,
)
CLOSE_QUALITY = Threshold(value=0.8, source="four fifths of what real data scores")

QUALITY_ABOVE_NOISE = Threshold(value=0.1, source="share of the null's precision above the untrained generator's")
REPEATING = Threshold(
    value=0.25,
    source="nearest fake-fake distance over real-real: healthy .98 to 1.06, latent 1 at most .009; " + RECORDED,
)
REPEATING_COMPLETELY = Threshold(value=0.05, source="latent 1 gives .004 to .009; " + RECORDED)
NARROW = Threshold(
    value=0.5,
    source="standard deviation of the fakes over the reals'; narrow .49 and less, healthy .83 and more; " + SUITE,
)
REPEATING_UPDATES = 200
"""Updates after which complete repetition is collapse whatever the quality: a constant image need not look real."""
MISSING_MASS = Threshold(value=0.4, source="healthy runs: at most .05; latent 1: .42 and more; " + RECORDED)
LEFT_OUT_MASS = Threshold(
    value=0.5,
    source="of samples that are mostly not precise: noise, blends and blurs of reals seem to leave out "
    f".32 at most (bench/results/left_out.json); {SUITE}",
)
MOSTLY_PRECISE = Threshold(value=0.5, source="half of the samples, as a share of real data's: they are what they seem")
RECOGNISED = Threshold(value=0.1, source="a tenth of the fakes: fewer say nothing of which classes are made")
MOSTLY_RECOGNISED = Threshold(value=0.5, source="half of the fakes, as a share of reals")
UNEVEN = Threshold(value=0.35, source="three of ten equal classes left out: ln(10/7) nats")
VERY_UNEVEN = Threshold(
    value=0.9, source="six of ten equal classes left out: ln(10/4) nats; poor samples show some classes only; " + SUITE
)
COMPLETE_MISSING_MASS = Threshold(
    value=0.75, source="three quarters of the data; latent 1 leaves out .42 to .83; " + RECORDED
)

RANKED_UPDATES = 400
"""Updates before which a discriminator that is ahead of an untrained generator is no failure."""
LEAD_UPDATES = 400
"""Updates of a lead that is a failure whatever samples look like, where nobody has looked at them."""
FAR_AHEAD = Threshold(
    value=0.95, source="of all samples told, with a g_loss that is lost; no healthy run for so long; " + SUITE
)
SEPARATED = Threshold(value=0.999, source="every pair of the batch is in order, but for one in a thousand")
HOPELESS_QUALITY = Threshold(value=0.05, source="hardly a sample looks real, or hardly a part of the data is reached")

EXPLODED = Threshold(
    value=1e3, source="against the first 10 updates: three orders of magnitude; exploding 9.3e3, others 640; " + SUITE
)
EXPLODED_PULL = Threshold(
    value=3e3,
    source="against the first 50 updates; exploding 4.3e3 and more, others at most 2.4e3; it names the layer alone; "
    + SUITE,
)
VANISHED_PULL = Threshold(
    value=1e-3, source="three orders of magnitude below the first 50 updates; no run comes below 5.9e-3; " + SUITE
)
FADED = Threshold(
    value=1e-3, source="against the first 10 updates; vanished .0003 and less, all others .004 and more; " + SUITE
)

PERIODIC = Threshold(value=1e-3, source="family-wise over all periods, under a smooth background")
SWINGING = Threshold(
    value=0.2, source="share of the variance in the peak; below it swings are noise to the eye; " + SUITE
)
SETTLED_UPDATES = 400
"""Updates at the start in which losses swing before they settle; no oscillation is looked for in them."""
SETTLED_SHARE = 0.5
"""Of the budget: until then an oscillation is mild. Eight runs on grid25 of the suite's calibration part swing between
a fifth and a half of it (one for an epoch more) and come to rest."""

MEMORISED = Threshold(value=0.7, source="unseen reals .5; memorised runs .72 and more, healthy at most .69; " + SUITE)
COPIES = Threshold(value=0.1, source="unseen reals .01; memorised runs .11 and more, healthy at most .06; " + SUITE)
MOSTLY_COPIES = Threshold(value=0.5, source="every second fake is a copy")

YOUNG_UPDATES = 200
"""Updates before which poor samples say nothing: a run so short is unfinished, and neither stalled nor deceptive."""
LATE_EVALUATIONS = 3
"""Late evaluations below which losses are not called deceptive; a trend needs more (`trend.FEWEST`)."""
BALANCED_D_LOSS = Threshold(value=0.5, source="the published band of healthy runs: .5 to .8")
UNBALANCED_D_LOSS = Threshold(value=0.8, source="the published band of healthy runs: .5 to .8")
BALANCED_G_LOSS = Threshold(value=0.5, source="the published band of healthy runs: .5 to 2")
UNBALANCED_G_LOSS = Threshold(value=2.0, source="the published band of healthy runs: .5 to 2")
TREND_P = Threshold(value=0.05, source="one-sided, Mann and Kendall")
GAIN = Threshold(value=0.05, source="a twentieth of what real data scores, over the last third of the budget")
FINISHED = Threshold(value=0.9, source="nine tenths of what real data scores")
