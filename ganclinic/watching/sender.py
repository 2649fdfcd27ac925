"""Sends what lies in a spool, each message once, however often the service goes away in between."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import numpy as np

from ganclinic.errors import ApiError, GanClinicError, NotFound, ServiceFailed, ServiceUnreachable, UnexpectedAnswer
from ganclinic.transport import Transport, document_of
from ganclinic.watching.spool import Record, Spool
from ganlib.evaluation.scales import scale_of_reals, span
from ganlib.step_blocks import MEDIA_TYPE
from ganlib.wire.paths import UPLOADS, WATCHED_RUNS, watched_run_path
from ganlib.wire.reading import read
from ganlib.wire.watching import WatchState

WITHOUT_SAMPLES = (
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.INSUFFICIENT_STORAGE,
)
"""Refusals of an epoch that may be for its samples: it is sent without them then."""


class Refused(Exception):
    """The service takes nothing more of this run; the message says why. What was kept stays where it is."""


class Away(Exception):
    """The service does not answer, or not now."""


@dataclass(kw_only=True)
class Sender:
    """One spool on its way to one service. Not for several threads at once."""

    transport: Transport
    spool: Spool
    state: WatchState | None = None
    """As the service said last."""
    notes: list[str]
    """What was left out, for people."""
    _place: int = 0
    """Where the next message begins in the file."""
    _epochs: int = 0
    """Up to there."""

    def send(self) -> bool:
        """Sends all that is there; whether its last message was the end of the run.

        Raises:
            Away: the service does not answer; what is left is sent another time.
            Refused: it takes no more.
        """
        path = watched_run_path(self._run_id())
        if self.state is None:
            self.look()
        assert self.state is not None, "it was asked for"
        for record in self.spool.records(self._place):
            epoch = self._epochs + (record.kind == "epoch")
            if record.sequence > self.state.sequence:
                self._send_one(path, record, epoch)
            if record.kind == "epoch":
                self.spool.samples_path(epoch).unlink(missing_ok=True)
            self._place, self._epochs = record.end, epoch
            if record.kind == "end":
                return True
        return False

    def look(self) -> None:
        """Asks how far the run is.

        Raises:
            Away, Refused: as `send`.
        """
        self.state = _state(self._asked("GET", watched_run_path(self._run_id())))

    def _send_one(self, path: str, record: Record, epoch: int) -> None:
        match record.kind:
            case "steps":
                parts: dict[str, Any] = {"content": record.content, "headers": {"Content-Type": MEDIA_TYPE}}
                self.state = _state(self._asked("PUT", f"{path}/steps/{record.sequence}", **parts))
            case "epoch":
                self.state = self._send_epoch(f"{path}/epochs/{record.sequence}", record, epoch)
            case "end":
                self.state = _state(self._asked("PUT", f"{path}/end/{record.sequence}", params=record.said))

    def _send_epoch(self, path: str, record: Record, epoch: int) -> WatchState:
        params = {"seconds": record.said["seconds"]}
        samples = self.spool.samples_path(epoch)
        if samples.is_file():
            try:
                with samples.open("rb") as file:
                    return _state(self._asked("PUT", path, params=params, files={"fakes": ("fakes.npy", file)}))
            except Refused as error:
                problem = error.__cause__
                if not isinstance(problem, ApiError) or problem.problem.status not in WITHOUT_SAMPLES:
                    raise
                self.notes.append(f"the samples of epoch {epoch} were refused: {problem}")
        return _state(self._asked("PUT", path, params=params))

    def _run_id(self) -> str:
        """The id of the run, which is made where it is not yet."""
        order = self.spool.order
        if order.run_id is not None:
            return order.run_id
        body: dict[str, Any] = {"name": order.name, "objective": order.objective, "epochs": order.epochs}
        body = {field: value for field, value in body.items() if value is not None}
        real = self._real()
        if real is not None:
            body["real"] = real
        try:
            made = self._asked("POST", WATCHED_RUNS, json=body, headers={"Idempotency-Key": order.key})
        except Refused as error:
            if real is None:
                raise
            self.notes.append(f"the real samples were refused: {error}")
            del body["real"]
            made = self._asked("POST", WATCHED_RUNS, json=body, headers={"Idempotency-Key": order.key + "-"})
        run_id = str(made["id"])
        self.spool.made(run_id, self.transport.url)
        self.spool.real_path.unlink(missing_ok=True)
        return run_id

    def _real(self) -> str | None:
        """The id under which the service has the real samples; None where there are none, or it refuses them."""
        path = self.spool.real_path
        if not path.is_file():
            return None
        try:
            with path.open("rb") as file:
                made = self._asked("POST", UPLOADS, files={"file": ("real.npy", file)}, timeout=600.0)
        except Refused as error:
            self.notes.append(f"the real samples were refused: {error}")
            return None
        return str(made["id"])

    def _asked(self, method: str, path: str, **parts: Any) -> dict[str, Any]:
        try:
            return document_of(self.transport.send_once(method, path, **parts))
        except (ServiceUnreachable, UnexpectedAnswer) as error:
            raise Away(str(error)) from error
        except ServiceFailed as error:
            # A full store is refused as every other fault of the service that will not go away by itself.
            kind = Refused if error.problem.status == HTTPStatus.INSUFFICIENT_STORAGE else Away
            raise kind(str(error)) from error
        except NotFound as error:
            raise Refused(f"the run is not there any more: {error}") from error
        except ApiError as error:
            too_many = error.problem.status == HTTPStatus.TOO_MANY_REQUESTS
            raise (Away if too_many else Refused)(str(error)) from error
        except GanClinicError as error:
            raise Away(str(error)) from error


def _state(document: dict[str, Any]) -> WatchState:
    return read(WatchState, document)


def as_upload(real: Any) -> np.ndarray[Any, Any]:
    """Real samples as the service takes them: pixels as bytes, [n, channels, height, width], or points [n, d].

    Raises:
        ValueError: they are no samples, or points beyond -1 to 1.
    """
    array = np.asarray(real)
    if array.ndim == 2:
        points = array.astype(np.float32)
        if float(np.abs(points).max()) > 1:
            raise ValueError("real points reach beyond -1 to 1; scale them, and the fakes alike")
        return points
    if array.dtype == np.uint8:
        return array
    scale = scale_of_reals(*span(array))
    if scale is None:
        raise ValueError("real pixels are in none of the scales [-1, 1], [0, 1] and [0, 255]")
    signed = scale.signed(array.astype(np.float32))
    return np.clip(np.round((signed + 1) * 127.5), 0, 255).astype(np.uint8)
