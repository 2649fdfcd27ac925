"""What an attempt runs on, as it is stored and compared."""

from dataclasses import dataclass

from ganlib.spec.training import SettledPrecision
from store.core.models import Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Two attempts on equal machines compute the same numbers, where the device is the CPU."""

    device: str
    threads: int
    cpu_capability: str
    """Instruction set that torch chose, e.g. `AVX2`."""
    versions: dict[str, str]
    precision: SettledPrecision = "float32"
    """What the networks multiply in."""

    @property
    def is_reproducible(self) -> bool:
        """Whether a second execution gives bit-identical numbers."""
        return self.device == "cpu"

    def equals(self, attempt: Attempt) -> bool:
        """Whether that attempt ran on such a machine."""
        precision = attempt.precision or "float32"
        ran_on = (attempt.device, attempt.threads, attempt.cpu_capability, attempt.versions, precision)
        return ran_on == (self.device, self.threads, self.cpu_capability, self.versions, self.precision)
