"""What stored files take."""

from ganlib.wire.view import View


class RunStorageView(View):
    """What the files of one run take, in bytes."""

    run_id: str
    name: str | None
    user: str
    artifacts: int
    """Pictures; one that several runs have counts for each of them."""
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
    """What all stored files take, in bytes, each counted once; and the users and runs that take most."""

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
