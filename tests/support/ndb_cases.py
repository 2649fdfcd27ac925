"""Cases on which NDB is compared with its authors' code: samples drawn from a seed, centres fixed in advance."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class NdbCase:
    """Reals, fakes, and the bins on both."""

    reals: np.ndarray
    """[n, d] float32."""
    fakes: np.ndarray
    """[m, d] float32."""
    centres: np.ndarray
    """[K, d] of whitened features, where whitened."""
    dims: np.ndarray
    """[d'] features in use."""
    whiten: bool


def ndb_cases() -> dict[str, NdbCase]:
    """The cases by name."""
    return {
        "unequal counts": _case(2000, 500, 10, 20),
        "more fakes than reals": _case(400, 3000, 5, 12, shift=0.3),
        "empty bins on one side": _case(1500, 300, 4, 30, shift=2.5),
        "whitened": _case(1000, 700, 16, 15, shift=0.2, whiten=True),
        "more than 1,000 features": _case(600, 400, 1200, 10, shift=0.1, dims=200),
        "one hundred bins": _case(6000, 2500, 8, 100, shift=0.15),
    }


def _case(
    n: int, m: int, d: int, num_bins: int, *, shift: float = 0.0, whiten: bool = False, dims: int | None = None
) -> NdbCase:
    rng = np.random.default_rng([n, m, d, num_bins])
    scale = rng.uniform(0.5, 4, d)
    reals = (rng.normal(size=(n, d)) * scale).astype(np.float32)
    fakes = ((rng.normal(size=(m, d)) + shift) * scale).astype(np.float32)
    chosen = reals[rng.permutation(n)[:num_bins]].astype(np.float64)
    if whiten:
        chosen = (chosen - reals.mean(0)) / (reals.std(0) + 1e-6)
    used = np.arange(d) if dims is None else np.sort(rng.permutation(d)[:dims])
    return NdbCase(reals=reals, fakes=fakes, centres=chosen, dims=used, whiten=whiten)
