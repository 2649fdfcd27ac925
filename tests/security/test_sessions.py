"""Sessions of browsers: who gets one, what it opens, and what is no session."""

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from pydantic import SecretStr
from sqlalchemy import Engine

from api.app import create_app
from api.http.sessions import LIFE
from api.pages import links
from ganclinic.links import make_link
from store.core.settings import Settings
from store.scheduling.accounts import hash_token
from tests.support.api import TEST_HOST, TOKEN
from tests.support.store import SPEC

OWN = f"http://{TEST_HOST}"
ADA, BOB = "a token of ada's own", "a token of bob's own"


@dataclass(kw_only=True)
class SharedService:
    """A service with two users, whose clock the test turns."""

    engine: Engine
    home: Path
    now: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        self.write_tokens(ada=ADA, bob=BOB)

    def write_tokens(self, **tokens: str) -> None:
        users = [f'[[users]]\nname = "{n}"\ntoken_sha256 = "{hash_token(t.encode())}"\n' for n, t in tokens.items()]
        self.file.write_text("".join(users))
        self.file.chmod(0o600)

    @property
    def file(self) -> Path:
        return self.home / "tokens.toml"

    def browser(self, token: str = TOKEN, base_url: str = OWN) -> TestClient:
        """Of a service that is started anew, with cookies and no token; it follows no redirect."""
        settings = Settings(home=self.home, token=SecretStr(token), allowed_hosts=(TEST_HOST,), tokens_file=self.file)
        app = create_app(
            settings, self.engine, bell=lambda _: True, broker_answers=lambda _: True, clock=lambda: self.now
        )
        return TestClient(app, base_url=base_url, follow_redirects=False, raise_server_exceptions=False)


@pytest.fixture
def clinic(sqlite_engine: Engine, tmp_path: Path) -> SharedService:
    return SharedService(engine=sqlite_engine, home=tmp_path)


def log_in(browser: TestClient, token: str, origin: str = OWN) -> Response:
    return browser.post("/session", data={"token": token}, headers={"Origin": origin})


def create(browser: TestClient, **headers: str) -> Response:
    return browser.post("/v1/runs", json={"spec": SPEC}, headers=headers)


def cookie_of(browser: TestClient) -> tuple[str, str]:
    ((name, value),) = browser.cookies.items()
    return name, value


def test_a_token_begins_a_session_that_no_script_reads_and_no_other_site_sends(clinic: SharedService) -> None:
    browser = clinic.browser()
    assert browser.get("/v1/runs").status_code == 401
    answer = log_in(browser, f" {ADA}\n")
    assert (answer.status_code, answer.headers["cache-control"]) == (204, "no-store")
    said = answer.headers["set-cookie"].lower()
    assert {"httponly", "samesite=strict", "path=/", f"max-age={int(LIFE.total_seconds())}"} <= set(said.split("; "))
    assert "secure" not in said  # over http the browser would keep no such cookie
    assert ADA not in said
    assert browser.get("/v1/runs").status_code == 200
    assert create(browser, Origin=OWN).json()["user"] == "ada"


def test_over_https_the_cookie_is_never_sent_without(clinic: SharedService) -> None:
    origin = f"https://{TEST_HOST}"
    assert "; Secure" in log_in(clinic.browser(base_url=origin), TOKEN, origin).headers["set-cookie"]


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], hash_token(TOKEN.encode()), hash_token(ADA.encode()), "é"])
def test_what_is_nobodys_token_begins_none(clinic: SharedService, token: str) -> None:
    answer = log_in(clinic.browser(), token)
    assert answer.status_code in {401, 422}
    assert "set-cookie" not in answer.headers


def test_a_session_has_the_rights_of_its_user_and_no_more(clinic: SharedService) -> None:
    ada, bob, administrator = clinic.browser(), clinic.browser(), clinic.browser()
    for browser, token in ((ada, ADA), (bob, BOB), (administrator, TOKEN)):
        assert log_in(browser, token).status_code == 204
    run = create(ada, Origin=OWN).json()["id"]
    assert bob.post(f"/v1/runs/{run}/cancel", headers={"Origin": OWN}).status_code == 403
    assert bob.post("/v1/drain", headers={"Origin": OWN}).status_code == 403
    assert [b.get("/metrics").status_code for b in (ada, bob, administrator)] == [403, 403, 200]
    assert administrator.post(f"/v1/runs/{run}/cancel", headers={"Origin": OWN}).status_code == 202


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", f"{OWN}:81", f"https://{TEST_HOST}:8888"])
def test_a_session_changes_nothing_but_from_our_own_page(clinic: SharedService, origin: str | None) -> None:
    browser = clinic.browser()
    log_in(browser, TOKEN)
    headers = {} if origin is None else {"Origin": origin}
    for method, path in [("POST", "/v1/runs"), ("DELETE", "/v1/drain"), ("POST", "/v1/uploads"), ("PATCH", "/v1/x")]:
        answer = browser.request(method, path, headers=headers)
        assert (answer.status_code, "Origin" in answer.text) == (403, True), (method, path)
    assert browser.get("/v1/runs").json()["items"] == []


@pytest.mark.parametrize("origin", ["null", "http://evil.example"])
def test_a_foreign_page_logs_nobody_in(clinic: SharedService, origin: str) -> None:
    assert log_in(clinic.browser(), TOKEN, origin).status_code == 403


def test_a_session_serves_pages_behind_a_proxy_that_has_a_name(clinic: SharedService) -> None:
    browser = clinic.browser()
    log_in(browser, ADA)
    assert create(browser, Origin=f"https://{TEST_HOST}").status_code == 202


def test_a_session_ends_with_its_time(clinic: SharedService) -> None:
    browser = clinic.browser()
    log_in(browser, ADA)
    clinic.now += LIFE.total_seconds() - 1
    assert browser.get("/v1/runs").status_code == 200
    clinic.now += 1
    assert browser.get("/v1/runs").status_code == 401


def test_a_restart_keeps_sessions(clinic: SharedService) -> None:
    before = clinic.browser()
    log_in(before, ADA)
    after = clinic.browser()
    after.cookies.update(before.cookies)
    assert after.get("/v1/runs").status_code == 200


def revoke_user(clinic: SharedService) -> str:
    clinic.write_tokens(ada="another token of ada's", bob=BOB)
    return TOKEN


def remove_user(clinic: SharedService) -> str:
    clinic.write_tokens(bob=BOB)
    return TOKEN


def revoke_service(_: SharedService) -> str:
    return "another-horse-with-another-battery"


@pytest.mark.parametrize("revoke", [revoke_user, remove_user, revoke_service])
def test_another_token_ends_the_sessions_of_the_old_one(
    clinic: SharedService, revoke: Callable[[SharedService], str]
) -> None:
    before = clinic.browser()
    log_in(before, ADA)
    _, value = cookie_of(before)
    after = clinic.browser(revoke(clinic))
    log_in(after, BOB)
    name, _ = cookie_of(after)
    assert after.get("/v1/runs").status_code == 200
    after.cookies.clear()
    after.cookies.set(name, value)
    assert after.get("/v1/runs").status_code == 401


def forgeries(value: str, of_bob: str) -> list[str]:
    user, ends_at, nonce, signature = value.split(":")
    rest = f"{ends_at}:{nonce}:{signature}"
    return [
        f"bob:{rest}",
        f"default:{rest}",
        f"nobody:{rest}",
        f"{user}:{int(ends_at) + 1}:{nonce}:{signature}",
        f"{user}:{ends_at}:{nonce[:-1]}0:{signature[:-1]}0",
        f"{user}:{ends_at}:{nonce}:{'0' * 64}",
        f"{user}:{ends_at}:{nonce}:{of_bob.split(':')[3]}",
        f"{user}:{ends_at}:{nonce}",
        f"{value}0",
        value[1:],
        value.upper(),
        "",
        "ada",
        ADA,
        "a" * 5000,
    ]


def test_a_forged_session_is_none(clinic: SharedService) -> None:
    browser, bob = clinic.browser(), clinic.browser()
    log_in(browser, ADA)
    log_in(bob, BOB)
    name, value = cookie_of(browser)
    for forged in forgeries(value, cookie_of(bob)[1]):
        answer = clinic.browser().get("/v1/runs", headers={"Cookie": f"{name}={forged}"})
        assert answer.status_code == 401, forged
    good = clinic.browser().get("/v1/runs", headers={"Cookie": f'a=b; odd; x="; {name}={value}'})
    assert good.status_code == 200  # other services of the host may have cookies of any kind


def test_a_token_that_is_sent_counts_whatever_the_session(clinic: SharedService) -> None:
    browser = clinic.browser()
    log_in(browser, ADA)
    assert browser.get("/v1/runs", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert create(browser, Authorization=f"Bearer {BOB}").json()["user"] == "bob"  # and says no Origin


def test_two_services_of_one_host_take_each_others_cookie_for_nothing(clinic: SharedService) -> None:
    one, other = clinic.browser(), clinic.browser("another-horse-with-another-battery")
    log_in(one, TOKEN)
    log_in(other, "another-horse-with-another-battery")
    assert cookie_of(one)[0] != cookie_of(other)[0]


def test_logging_out_has_the_browser_forget_the_session(clinic: SharedService) -> None:
    browser = clinic.browser()
    log_in(browser, ADA)
    assert browser.delete("/session", headers={"Origin": OWN}).status_code == 204
    assert not browser.cookies
    assert browser.get("/v1/runs").status_code == 401


# --- links of `ganclinic open` ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("rest", "address"), [("", "/"), ("/0123456789abcdef", "/runs/0123456789abcdef")])
def test_a_link_begins_one_session_and_leads_on(clinic: SharedService, rest: str, address: str) -> None:
    path = make_link(clinic.home) + rest
    browser = clinic.browser()
    answer = browser.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, address)
    assert browser.get("/v1/runs").status_code == 200
    again = clinic.browser()
    assert again.get(path).status_code == 403
    assert not again.cookies


def test_a_link_is_over_after_two_minutes(clinic: SharedService) -> None:
    path = make_link(clinic.home)
    clinic.now += links.LIFE.total_seconds() + 1
    assert clinic.browser().get(path).status_code == 403


def test_a_link_is_known_by_its_key_alone(clinic: SharedService) -> None:
    path = make_link(clinic.home)
    (file,) = (clinic.home / "links").iterdir()
    assert file.name not in path
    assert (clinic.home / "links").stat().st_mode & 0o077 == 0
    for guess in (file.name, "0" * 64, "../token", "%2e%2e", f"{path[6:-1]}!", ""):
        answer = clinic.browser().get(f"/open/{guess}")
        assert answer.status_code in {401, 403, 404}, guess
    assert file.exists()
    for onward in ("/%2Fevil.example", "//evil.example", "/0123456789abcdeg"):
        answer = clinic.browser().get(path + onward)
        assert not re.search("evil", answer.headers.get("location", "")), onward


def test_old_links_are_taken_away_when_another_is_made(clinic: SharedService) -> None:
    make_link(clinic.home)
    (old,) = (clinic.home / "links").iterdir()
    os.utime(old, (1, 1))
    make_link(clinic.home)
    assert not old.exists()
    assert len(list((clinic.home / "links").iterdir())) == 1
