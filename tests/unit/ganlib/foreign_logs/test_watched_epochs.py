# pyright: basic
"""A watched training is judged epoch after epoch, and a finding that stays is one finding."""

import numpy as np

from ganlib.foreign_logs.watched import Sent, judge

EPOCHS, STEPS = 8, 100


def test_a_finding_that_only_pairs_show_is_seen_once_and_is_over_once() -> None:
    count = EPOCHS * STEPS
    ends = [STEPS * (epoch + 1) for epoch in range(EPOCHS)]
    wrong = np.arange(count) < 6 * STEPS  # told apart, and yet the generator pays less than these pairs can cost
    rng = np.random.default_rng(0)
    wobble = 1 + 0.01 * rng.uniform(-1, 1, count)
    columns = {
        "d_loss_real": np.where(wrong, 0.0005, 0.6) * wobble,
        "d_loss_fake": np.where(wrong, 0.0005, 0.6) * wobble,
        "g_loss": np.where(wrong, 1.05, 0.8) * wobble,
    }
    previous, firsts, episodes = None, [], []
    for epoch in range(1, EPOCHS + 1):
        sent = Sent(
            columns={name: values[: ends[epoch - 1]] for name, values in columns.items()},
            ends=ends[:epoch],
            objective="relativistic",
            epochs_total=EPOCHS,
        )
        previous = judge(sent, (), previous).diagnosis
        firsts += [f.first_epoch for f in previous.findings if f.name.endswith("both losses vanish")]
        episodes.append(previous.recovered)
    assert len(firsts) >= 4
    assert set(firsts) == {firsts[0]}
    assert episodes[: len(firsts)] == [()] * len(firsts)
    [over] = episodes[-1]
    assert (over.first_epoch, over.times) == (firsts[0], 1)
