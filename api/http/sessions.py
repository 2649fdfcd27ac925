"""Sessions of browsers: a signed cookie that stands for somebody's token, and holds no part of it.

The signature's key is made of the service's token and the hash of the user's. A session thus ends with its time, with
either token, and with the user's line in the tokens file. No table of sessions is kept: every API process knows all.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from datetime import timedelta

from pydantic import SecretStr

from store.core.models import DEFAULT_USER
from store.scheduling.accounts import Accounts, Caller, hash_token
from store.scheduling.owners import NOBODY_ELSE

LIFE = timedelta(hours=24)
COOKIE = re.compile(
    r"(?P<signed>(?P<user>[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}):(?P<ends_at>[0-9]{1,12}):[0-9a-f]{32}):(?P<signature>[0-9a-f]{64})"
)


class Sessions:
    """Begins sessions, and says whose one is."""

    def __init__(self, token: SecretStr, accounts: Accounts, clock: Callable[[], float]) -> None:
        """`token`: the service's own. `clock`: seconds since 1970."""
        self._token, self._accounts, self._clock = token.get_secret_value().encode(), accounts, clock
        # Browsers keep cookies by host, whatever the port: two services of one machine need two names.
        self.cookie = f"ganclinic-{hmac.digest(self._token, b'name of the cookie', 'sha256').hex()[:12]}"
        """Name of the cookie."""

    def begin(self, token: str) -> str | None:
        """The cookie for whoever has this token; None where nobody has."""
        caller = self._accounts.caller(token.encode(), self._token) if token else None
        return None if caller is None else self._signed(caller.owner.user)

    def begin_as_administrator(self) -> str:
        """The cookie for whoever has the service's own token."""
        return self._signed(DEFAULT_USER)

    def _signed(self, user: str) -> str:
        ends_at = int(self._clock() + LIFE.total_seconds())
        signed = f"{user}:{ends_at}:{secrets.token_hex(16)}"
        return f"{signed}:{self._signature(user, signed)}"

    def caller(self, cookie: str) -> Caller | None:
        """Whose session it is; None where it is over, forged or nobody's any more."""
        found = COOKIE.fullmatch(cookie)
        if found is None:
            return None
        expected = self._signature(found["user"], found["signed"])
        if expected is None or not hmac.compare_digest(expected, found["signature"]):
            return None
        return self._of(found["user"]) if self._clock() < int(found["ends_at"]) else None

    def _signature(self, user: str, signed: str) -> str | None:
        hashes = {DEFAULT_USER: hash_token(self._token)} | {u.name: u.token_sha256 for u in self._accounts.users}
        if user not in hashes:
            return None
        key = hmac.digest(self._token, f"key of sessions of {hashes[user]}".encode(), "sha256")
        return hmac.new(key, signed.encode(), hashlib.sha256).hexdigest()

    def _of(self, user: str) -> Caller:
        known = {u.name: Caller(owner=u.owner, administrator=u.administrator) for u in self._accounts.users}
        return known.get(user) or Caller(owner=NOBODY_ELSE, administrator=True)
