"""The tokens file: who has which token, and what is wrong with a bad one."""

from pathlib import Path

import pytest

from store.core.models import DEFAULT_USER
from store.scheduling.accounts import Accounts, Caller, InvalidTokensFile, Quota, hash_token, read_accounts
from store.scheduling.owners import NOBODY_ELSE, Owner, decayed, use_of

HASH = hash_token(b"ada's own")
FILE = f"""
[[users]]
name = "ada"
team = "vision"
token_sha256 = "{HASH}"

[[users]]
name = "bob"
token_sha256 = "{hash_token(b"bob's own")}"
weight = 2
administrator = true

[teams.vision]
weight = 3

[quotas.default]
running = 4
queued = 100

[quotas.users.ada]
queued = 500

[quotas.teams.vision]
device_hours = 48
"""


def write(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / "tokens.toml"
    file.write_text(text, "utf-8")
    file.chmod(mode)
    return file


def test_users_weights_and_quotas_are_read(tmp_path: Path) -> None:
    accounts = read_accounts(write(tmp_path, FILE))
    ada, bob = (user.owner for user in accounts.users)
    assert (ada, bob) == (Owner(user="ada", team="vision"), Owner(user="bob"))
    sharing = accounts.sharing
    assert (sharing.weight_of_team(ada), sharing.weight_of_team(bob)) == (3, 2)
    assert (sharing.weight_of_user("ada"), sharing.weight_of_user("bob")) == (1, 2)
    assert sharing.quota_of_user("ada") == Quota(running=4, queued=500)
    assert sharing.quota_of_user("anybody") == Quota(running=4, queued=100)
    assert sharing.quota_of_team("vision") == Quota(device_hours=48)
    assert sharing.quota_of_team(None) == Quota()


def test_a_token_tells_whose_it_is(tmp_path: Path) -> None:
    accounts = read_accounts(write(tmp_path, FILE))
    assert accounts.caller(b"ada's own", b"service") == Caller(
        owner=Owner(user="ada", team="vision"), administrator=False
    )
    assert accounts.caller(b"service", b"service") == Caller(owner=NOBODY_ELSE, administrator=True)
    assert accounts.caller(b"nobody's", b"service") is None
    assert accounts.caller(HASH.encode(), b"service") is None  # the hash in the file opens nothing


def test_without_a_file_there_is_one_user() -> None:
    assert read_accounts(None) == Accounts()
    caller = Accounts().caller(b"service", b"service")
    assert caller is not None
    assert caller.owner.user == DEFAULT_USER


@pytest.mark.parametrize(
    ("owner", "may"),
    [
        (Owner(user="ada", team="vision"), True),
        (Owner(user="bob", team="vision"), True),
        (Owner(user="ada"), True),
        (Owner(user="cyd"), False),
        (Owner(user="cyd", team="audio"), False),
    ],
)
def test_a_user_may_change_its_own_runs_and_those_of_its_team(owner: Owner, may: bool) -> None:
    assert Caller(owner=Owner(user="ada", team="vision"), administrator=False).may_change(owner) is may
    assert Caller(owner=Owner(user="eve"), administrator=True).may_change(owner)


def test_two_users_without_teams_are_strangers() -> None:
    assert not Caller(owner=Owner(user="ada"), administrator=False).may_change(Owner(user="bob"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[users]", "cannot be read"),
        ('[[users]]\nname = "ada"', r"users\[0\]\.token_sha256: Field required"),
        ('[[users]]\nname = "ada"\ntoken_sha256 = "abc"', r"users\[0\]\.token_sha256: .*pattern"),
        (f'[[users]]\nname = "a/b"\ntoken_sha256 = "{HASH}"', r"users\[0\]\.name: .*pattern"),
        (f'[[users]]\nname = "ada"\nroot = true\ntoken_sha256 = "{HASH}"', r"users\[0\]\.root: is not a field here"),
        (f'[[users]]\nname = "default"\ntoken_sha256 = "{HASH}"', r"users\[0\]\.name: 'default' is who has"),
        (f'[[users]]\nname = "ada"\ntoken_sha256 = "{HASH}"\n' * 2, r"users\[1\]\.name: 'ada' is there twice"),
        (
            f'[[users]]\nname = "ada"\ntoken_sha256 = "{HASH}"\n[[users]]\nname = "bob"\ntoken_sha256 = "{HASH}"',
            r"users\[1\]\.token_sha256: two users have the same token",
        ),
        ("[quotas.default]\nrunning = -1", r"quotas\.default\.running: .*greater than or equal to 0"),
        ("[quotas.default]\nmax_priority = 101", r"quotas\.default\.max_priority: .*less than or equal to 100"),
        ("[quotas.default]\nmax_priority = -1", r"quotas\.default\.max_priority: .*greater than or equal to 0"),
        ("[quotas.users.eve]\nrunning = 1", r"quotas\.users\.eve: this file has no such user"),
        ("[quotas.teams.audio]\nrunning = 1", r"quotas\.teams\.audio: no user of this file is in such a team"),
        ("[teams.audio]\nweight = 2", r"teams\.audio: no user of this file is in such a team"),
        ("[teams.vision]\nweight = 0", r"teams\.vision\.weight: .*greater than 0"),
    ],
)
def test_a_bad_file_is_refused_with_its_field(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(InvalidTokensFile, match=f"(?s)GANCLINIC_TOKENS_FILE: .*{problem}"):
        read_accounts(write(tmp_path, text))


def test_the_user_of_the_services_own_token_may_have_a_quota(tmp_path: Path) -> None:
    accounts = read_accounts(write(tmp_path, f"[quotas.users.{DEFAULT_USER}]\nrunning = 1"))
    assert accounts.sharing.quota_of_user(DEFAULT_USER) == Quota(running=1)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(InvalidTokensFile, match=rf"\(mode {mode:04o}\); run: chmod 600 "):
        read_accounts(write(tmp_path, FILE, mode))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidTokensFile, match=r"missing\.toml cannot be read"):
        read_accounts(tmp_path / "missing.toml")


def test_use_decays_with_a_half_life_of_a_day() -> None:
    day = 24 * 3600
    assert decayed(10, day) == pytest.approx(5)
    assert decayed(10, -5) == 10  # clocks of two rows differ by milliseconds
    assert use_of(60) == pytest.approx(60, rel=1e-3)
    assert use_of(day) == pytest.approx(0.7213 * day, rel=1e-3)  # the integral of 2^-t from 0 to 1
    assert use_of(1000 * day) == pytest.approx(1.4427 * day, rel=1e-3)
    # Cut in two, an attempt has cost the same.
    assert decayed(use_of(day), day) + use_of(day) == pytest.approx(use_of(2 * day))
