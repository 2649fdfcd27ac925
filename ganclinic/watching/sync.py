"""Sends what trainers have kept while no service was there: `ganclinic sync DIR`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ganclinic.errors import InvalidInput
from ganclinic.transport import Transport
from ganclinic.watching.sender import Away, Refused, Sender
from ganclinic.watching.spool import Spool


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """What came of one folder."""

    folder: Path
    run_id: str | None
    """None where the service has not made it."""
    steps: int
    """That the service has now."""
    epochs: int
    is_whole: bool
    """Whether the trainer had said that it ended; else more may come, or it was killed."""
    notes: tuple[str, ...]
    error: str | None
    """Why not all was sent."""


def sync_all(folder: Path, transport: Transport) -> Iterator[Synced]:
    """Sends every watched run in a folder, or the one that the folder is; may be called as often as one likes.

    Raises:
        InvalidInput: there is none.
    """
    found = [folder] if (folder / "run.json").is_file() else sorted(path.parent for path in folder.glob("*/run.json"))
    if not found:
        raise InvalidInput(f"{folder} holds no watched run; name the folder that `ganclinic.watch` keeps them in.")
    for one in found:
        yield _synced(one, transport)


def _synced(folder: Path, transport: Transport) -> Synced:
    notes: list[str] = []
    try:
        sender = Sender(transport=transport, spool=Spool.at(folder), notes=notes)
    except (OSError, ValueError, TypeError) as error:
        why = f"its files cannot be read: {error}"
        return Synced(folder=folder, run_id=None, steps=0, epochs=0, is_whole=False, notes=(), error=why)
    why, is_whole = None, False
    try:
        is_whole = sender.send()
    except (Away, Refused) as error:
        why = str(error)
    state = sender.state
    return Synced(
        folder=folder,
        run_id=sender.spool.order.run_id,
        steps=0 if state is None else state.steps,
        epochs=0 if state is None else state.epochs_sent,
        is_whole=is_whole,
        notes=tuple(notes),
        error=why,
    )
