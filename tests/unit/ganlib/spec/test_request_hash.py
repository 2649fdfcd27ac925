"""The hash of a request, which stored idempotency keys are compared by."""

import pytest

from ganlib.spec.request import RunRequest
from store.runs.batches import _BatchName  # pyright: ignore[reportPrivateUsage]
from store.runs.lifecycle import hash_request

ONE = RunRequest(preset="digit8-stable", set={"training.epochs": 3}, name="one")
OTHER = RunRequest(spec={"seed": 1})
# Stored by versions whose requests had no priority.
HASH_OF_ONE = "860346606a366e785833563467b478073be374aeb6515f4d41f48716c2019511"
HASH_OF_BATCH = "a61f6eb79d5e8e8c3635b6ae949cc036505aa8afdaa4d1212507feb07bd8e027"


@pytest.mark.parametrize("changes", [{}, {"priority": 0}])
def test_a_request_without_a_priority_has_the_hash_that_it_always_had(changes: dict[str, int]) -> None:
    one = ONE.model_copy(update=changes)
    assert hash_request(one) == HASH_OF_ONE
    assert hash_request(_BatchName(name="two"), one, OTHER) == HASH_OF_BATCH


def test_requests_of_other_priorities_have_other_hashes() -> None:
    hashes = {hash_request(ONE.model_copy(update={"priority": priority})) for priority in (-5, 0, 5)}
    assert len(hashes) == 3
