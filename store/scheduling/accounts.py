"""Who may use the service, with which weight and which quotas: the file that `GANCLINIC_TOKENS_FILE` names.

    [[users]]
    name = "ada"
    team = "vision"
    token_sha256 = "…"            # made, with its token, by: ganclinic token --user ada --team vision

    [teams.vision]
    weight = 2                    # twice the share of a team of weight 1

    [quotas.default]              # of each user who has none of its own
    running = 4
    [quotas.users.ada]
    queued = 500
    max_priority = 10             # of its runs; 0 where it is not given, and its team's counts, too
    [quotas.teams.vision]
    device_hours = 48             # in any 24 hours
    max_priority = 10

Without the file there is one user, `default`, who has the service's one token and is an administrator.
"""

import hashlib
import hmac
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from ganlib.spec.limits import MAX_PRIORITY
from ganlib.spec.problems import in_words, problems_of
from store.core.models import DEFAULT_USER
from store.scheduling.owners import NOBODY_ELSE, Owner

OwnerName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$")]
Weight = Annotated[float, Field(gt=0, le=1000)]
OTHERS = 0o077


class InvalidTokensFile(ValueError):
    """The tokens file cannot be used; the message names the file, the field and the cure."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Quota(_Part):
    """How much a user or a team may have at once; null: as much as there is, but no priority above 0."""

    running: int | None = Field(default=None, ge=0)
    """Runs that are trained at once."""
    queued: int | None = Field(default=None, ge=0)
    """Runs that wait at once."""
    device_hours: float | None = Field(default=None, ge=0)
    """Device hours in any 24 hours."""
    storage_bytes: int | None = Field(default=None, ge=0)
    """Bytes of stored files: pictures and checkpoints of runs, compared samples, uploads."""
    max_priority: int | None = Field(default=None, ge=0, le=MAX_PRIORITY)
    """The highest priority that its runs may be given; null: 0."""

    def over(self, default: Self) -> Self:
        """This quota, with the other's limits where it has none."""
        return default.model_copy(update=self.model_dump(exclude_none=True))


UNLIMITED = Quota()


class User(_Part):
    """Somebody who has a token."""

    name: OwnerName
    team: OwnerName | None = None
    token_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    weight: Weight = 1
    administrator: bool = False
    """Whether runs of other users and teams may be changed."""

    @property
    def owner(self) -> Owner:
        """Whom this user's device time is counted for."""
        return Owner(user=self.name, team=self.team)


class _Team(_Part):
    weight: Weight = 1


class _Quotas(_Part):
    default: Quota = Quota()
    users: dict[OwnerName, Quota] = Field(default_factory=dict)
    teams: dict[OwnerName, Quota] = Field(default_factory=dict)


class _File(_Part):
    users: list[User] = Field(default_factory=list)
    teams: dict[OwnerName, _Team] = Field(default_factory=dict)
    quotas: _Quotas = _Quotas()

    @model_validator(mode="after")
    def _names_and_tokens_are_their_users_own(self) -> Self:
        for index, user in enumerate(self.users):
            before = self.users[:index]
            if user.name == DEFAULT_USER:
                raise ValueError(
                    f"users[{index}].name: '{DEFAULT_USER}' is who has the service's one token; take another"
                )
            if user.token_sha256 == hash_token(b""):
                raise ValueError(f"users[{index}].token_sha256: is of an empty token; make one: ganclinic token")
            if user.name in {other.name for other in before}:
                raise ValueError(f"users[{index}].name: '{user.name}' is there twice")
            if user.token_sha256 in {other.token_sha256 for other in before}:
                raise ValueError(f"users[{index}].token_sha256: two users have the same token; make another")
        return self

    @model_validator(mode="after")
    def _weights_and_quotas_are_those_of_its_users_and_teams(self) -> Self:
        users = {DEFAULT_USER, *(user.name for user in self.users)}
        teams = {user.team for user in self.users}
        for name in self.quotas.users:
            if name not in users:
                raise ValueError(f"quotas.users.{name}: this file has no such user")
        for field_name, named in (("teams", self.teams), ("quotas.teams", self.quotas.teams)):
            for name in named:
                if name not in teams:
                    raise ValueError(f"{field_name}.{name}: no user of this file is in such a team")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """How devices are shared: weights, and what nobody may exceed."""

    user_weights: Mapping[str, float] = field(default_factory=dict[str, float])
    team_weights: Mapping[str, float] = field(default_factory=dict[str, float])
    default_quota: Quota = UNLIMITED
    user_quotas: Mapping[str, Quota] = field(default_factory=dict[str, Quota])
    team_quotas: Mapping[str, Quota] = field(default_factory=dict[str, Quota])

    def weight_of_user(self, user: str) -> float:
        """Relative to other users of the same team."""
        return self.user_weights.get(user, 1)

    def weight_of_team(self, owner: Owner) -> float:
        """Relative to other teams; a user without a team is a team of its own."""
        return self.weight_of_user(owner.user) if owner.team is None else self.team_weights.get(owner.team, 1)

    def quota_of_user(self, user: str) -> Quota:
        """The user's own limits, and the default ones where it has none."""
        return self.user_quotas.get(user, UNLIMITED).over(self.default_quota)

    def quota_of_team(self, team: str | None) -> Quota:
        """The team's limits, of all its users together."""
        return UNLIMITED if team is None else self.team_quotas.get(team, UNLIMITED)


EQUAL = Sharing()
"""All weights are 1, and nothing is limited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who sends a request."""

    owner: Owner
    administrator: bool

    def may_change(self, owner: Owner) -> bool:
        """Whether runs of that owner are the caller's, or its team's, or the caller is an administrator."""
        same_team = owner.team is not None and owner.team == self.owner.team
        return self.administrator or same_team or owner.user == self.owner.user


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """Who has which token, and how devices are shared between them."""

    users: tuple[User, ...] = ()
    sharing: Sharing = EQUAL

    def caller(self, token: bytes, service_token: bytes) -> Caller | None:
        """Whose token it is; None where it is nobody's. Takes as long whoever it is."""
        given = hash_token(token)
        found: Caller | None = None
        for user in self.users:
            if hmac.compare_digest(given, user.token_sha256):
                found = Caller(owner=user.owner, administrator=user.administrator)
        if hmac.compare_digest(given, hash_token(service_token)):
            found = Caller(owner=NOBODY_ELSE, administrator=True)
        return found


def hash_token(token: bytes) -> str:
    """SHA-256, 64 hex digits. Tokens are random and long: they need no slow hash."""
    return hashlib.sha256(token).hexdigest()


def read_accounts(file: Path | None) -> Accounts:
    """What the file says; without one, the accounts of a service with one token.

    Raises:
        InvalidTokensFile: it cannot be read, others may read it, or it says something that is not valid.
    """
    if file is None:
        return Accounts()
    document = _validated(file, _read(file))
    sharing = Sharing(
        user_weights={user.name: user.weight for user in document.users},
        team_weights={name: team.weight for name, team in document.teams.items()},
        default_quota=document.quotas.default,
        user_quotas=document.quotas.users,
        team_quotas=document.quotas.teams,
    )
    return Accounts(users=tuple(document.users), sharing=sharing)


def _read(file: Path) -> dict[str, Any]:
    try:
        mode = file.stat().st_mode
        if mode & OTHERS:
            raise InvalidTokensFile(
                f"GANCLINIC_TOKENS_FILE: others may read or change {file} (mode {stat.S_IMODE(mode):04o}); "
                f"run: chmod 600 {file}"
            )
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidTokensFile(f"GANCLINIC_TOKENS_FILE: {file} cannot be read: {error}") from None


def _validated(file: Path, document: dict[str, Any]) -> _File:
    try:
        return _File.model_validate(document)
    except ValidationError as error:
        problems = problems_of(error, whole="", show_input=False)
        raise InvalidTokensFile(f"GANCLINIC_TOKENS_FILE: {file}: {in_words(problems)}") from None
