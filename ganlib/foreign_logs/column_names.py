"""What other trainers call their columns, and which of our signals each of them is.

A name is split into words at spaces, slashes, dashes, dots, brackets and capitals; `SYNONYMS` gives each word its usual
form, `NOISE` is left out, and the words that are left are looked up in `SIGNALS`, in any order.
"""

import re
import unicodedata
from collections.abc import Sequence

from ganlib.records import STEP_COLUMNS

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

SYNONYMS: dict[str, str] = {
    **dict.fromkeys(("discriminator", "disc", "dis", "critic", "netd"), "d"),
    **dict.fromkeys(("generator", "gen", "netg"), "g"),
    **dict.fromkeys(("losses", "err", "error"), "loss"),
    **dict.fromkeys(("dloss", "lossd", "errd", "derr"), "d loss"),
    **dict.fromkeys(("gloss", "lossg", "errg", "gerr"), "g loss"),
    **dict.fromkeys(("dacc", "accd"), "d acc"),
    "accuracy": "acc",
    "generated": "fake",
    **dict.fromkeys(("gradient", "gradients", "grads"), "grad"),
    "gradnorm": "grad norm",
    "dx": "d x",
    "dgz": "d g z",
    "gz": "g z",
    "epochs": "epoch",
    **dict.fromkeys(("steps", "iteration", "iterations", "iter", "iters", "it", "batch", "update", "updates"), "step"),
}
"""Words, and what is usually written for them."""
NOISE = frozenset({"train", "training", "trainer", "avg", "average", "mean", "value", "global", "net", "of", "on"})

STEP, EPOCH, KIMG = "step", "epoch", "kimg"
"""What puts rows in order: updates, passes over the data, thousands of images."""
ORDERS = (EPOCH, STEP, KIMG)
D_LOSS, D_ACC, G_ACC = "d_loss", "d_acc", "g_acc"
"""`g_acc`: the share of fakes that are called real in the generator's update."""
D_X, D_G_Z, D_G_Z_AFTER = "d_x", "d_g_z", "d_g_z_after"
"""Mean probabilities of being called real, of reals and fakes; `d_g_z_after`: fakes after D was updated."""
LOGIT_REAL, LOGIT_FAKE = "d_logit_real", "d_logit_fake"
"""Mean outputs of the discriminator before any sigmoid."""

SIGNALS: dict[frozenset[str], str] = {
    **{frozenset(name.split("_")): name for name in (*STEP_COLUMNS, D_LOSS, D_ACC, D_X, D_G_Z)},
    frozenset({"real", "loss"}): "d_loss_real",
    frozenset({"fake", "loss"}): "d_loss_fake",
    frozenset({"real", "acc"}): "d_acc_real",
    frozenset({"fake", "acc"}): "d_acc_fake",
    frozenset({"d", "g", "z", "1"}): D_G_Z,
    frozenset({"step"}): STEP,
    frozenset({"epoch"}): EPOCH,
}
"""Beside the columns of a step: `d_loss` and `d_acc` of reals and fakes together; `d_x` and `d_g_z`, the mean
probability with which reals and fakes are called real, which is no accuracy; and what puts rows in order."""


class InvalidHistory(ValueError):
    """The history cannot be read; the message names the place and the fix."""


def signal_of(name: str) -> str | None:
    """The signal that a column of this name holds; None where the name says none that is known."""
    found: set[str] = set()
    words: list[str] = WORD.findall(unicodedata.normalize("NFKC", name))
    for word in words:
        found.update(SYNONYMS.get(word.lower(), word.lower()).split())
    found -= NOISE
    return SIGNALS.get(frozenset(found)) or SIGNALS.get(frozenset(found - {"step"}))


def assign(source: str, names: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Signal → the name of its column, and the names that are left out, both in their order.

    Of several columns that put rows in order the first one does.

    Raises:
        InvalidHistory: two columns hold one signal, or none holds any.
    """
    chosen: dict[str, str] = {}
    left_out: list[str] = []
    for name in names:
        signal = signal_of(name)
        if signal is None or (signal in (STEP, EPOCH) and signal in chosen):
            left_out.append(name)
        elif signal in chosen:
            raise InvalidHistory(
                f"{source}: the columns '{chosen[signal]}' and '{name}' are both {signal}; leave one of them out"
            )
        else:
            chosen[signal] = name
    if not chosen.keys() - {STEP, EPOCH}:
        shown = ", ".join(f"'{name[:40]}'" for name in names[:10]) or "none"
        raise InvalidHistory(
            f"{source}: no column has a name that is known; there are: {shown}. "
            "Name them as d_loss_real, d_loss_fake (or d_loss), g_loss, d_acc_real, d_acc_fake"
        )
    return chosen, tuple(left_out)
