"""What a request that queues runs brings along, and what follows once they are queued: alike for every noun."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Response
from sqlalchemy.orm import Session

from api.deps import CallerDep, IdempotencyKey, RequestId, RingAfterAnswer, Services, ServicesDep
from api.errors import documented
from store.core.models import Run
from store.runs import lifecycle
from store.scheduling.accounts import Caller
from store.scheduling.owners import Owner
from store.scheduling.quotas import require_priorities, require_room


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A request that queues runs, and its answer."""

    services: Services
    caller: Caller
    request_id: str
    idempotency_key: str | None
    ring: Callable[[], None]
    response: Response

    def admit(
        self,
        session: Session,
        runs: Iterable[Run],
        *,
        owner: Owner | None = None,
        priorities: Mapping[str, int] | None = None,
    ) -> None:
        """Notes that this request made the runs, and holds those that no earlier one made against what is allowed.

        `owner`: whose they are, by default the caller's. `priorities`: those asked for, by the fields that ask.

        Raises:
            PriorityNotAllowed: the caller may not give one of them.
            QuotaExceeded: the owner has too many runs queued; the transaction must not be committed.
        """
        sharing = self.services.accounts.sharing
        if lifecycle.note_request(runs, self.request_id):
            require_priorities(self.caller, sharing, priorities or {})
            require_room(session, owner or self.caller.owner, sharing)

    def announce(self, path: str) -> None:
        """Says in the answer where to look, and lets the workers hear of it once that is sent."""
        self.ring()
        self.response.headers["Location"] = path


async def get_submission(
    services: ServicesDep,
    caller: CallerDep,
    request_id: RequestId,
    idempotency_key: IdempotencyKey,
    ring: RingAfterAnswer,
    response: Response,
) -> Submission:
    """The request that is served now."""
    return Submission(
        services=services,
        caller=caller,
        request_id=request_id,
        idempotency_key=idempotency_key,
        ring=ring,
        response=response,
    )


SubmissionDep = Annotated[Submission, Depends(get_submission)]


def accepted(*problems: int) -> dict[int | str, dict[str, Any]]:
    """The responses of a route that queues: where to look, or one of these problems."""
    return {202: {"headers": {"Location": {"schema": {"type": "string"}}}}, **documented(*problems)}
