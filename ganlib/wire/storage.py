"""What stored files take."""

from typing import Literal

from ganlib.wire.view import View


class RunStorageView(View):
    """What the files of one run, or evaluation of uploaded samples, take, in bytes."""

    run_id: str
    kind: Literal["training", "comparison"]
    """`comparison`: it is an evaluation of uploaded samples."""
    name: str | None
    user: str
    artifacts: int
    """Pictures, and samples that are compared; what several have counts for each of them."""
    checkpoints: int


class OwnerStorageView(View):
    """What the files of one user take, in bytes, each counted once."""

    user: str
    team: str | None
    artifacts: int
    """Pictures, and samples that are compared."""
    uploads: int
    checkpoints: int
    total: int
    quota: int | None
    """From which on what the user sends is refused; null: never."""
    team_quota: int | None
    """From which on that is so of all users of the team together; null: never."""


class StorageView(View):
    """What all stored files take, in bytes, each counted once; and the users, runs and evaluations that take most."""

    artifacts: int
    """Pictures, and samples that are compared."""
    uploads: int
    checkpoints: int
    total: int
    quota: int | None
    """From which on uploads and new runs are refused; null: never."""
    users: tuple[OwnerStorageView, ...]
    """Those that take most, most first; a user who was in two teams is there for each."""
    runs: tuple[RunStorageView, ...]
    """Those that take most, most first."""
