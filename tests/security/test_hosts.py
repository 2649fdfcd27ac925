"""Names that lead here, and pages that change something: what a browser can be made to send is refused."""

import socket
from collections.abc import Iterator

import httpx
import pytest

from api.http.hosts import KnownHosts
from tests.support.api_process import client, environment_of, migrate, serving
from tests.support.store import SPEC

PROBLEM = "application/problem+json"
FOREIGN_HOSTS = [
    "evil.example",
    "evil.example:{port}",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evil.example#localhost",
    "localhost@evil.example",
    "localhost,evil.example",
    "localhost:{port}:{port}",
    "localhost:",
    "192.0.2.7",
    "127.1",
    "2130706433",
    "0x7f000001",
    "[::1",
    "[::2]",
    "",
    "null",
    "../localhost",
]
FOREIGN_ORIGINS = [
    "http://evil.example",
    "https://evil.example:{port}",
    "http://127.0.0.1",
    "http://127.0.0.1:1",
    "http://localhost:{port}",
    "https://127.0.0.1.evil.example:{port}",
    "http://evil.example@127.0.0.1:{port}",
    "file://",
    "chrome-extension://abcdef",
    "null",
    "",
]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Of a running service, on the loopback address, with a name for people."""
    folder = tmp_path_factory.mktemp("hosts")
    environment = environment_of(
        f"sqlite:///{folder / 'ganclinic.db'}", folder, GANCLINIC_ALLOWED_HOSTS="clinic.example, Gpu-Server"
    )
    migrate(environment)
    with serving(environment, folder / "api.log"):
        yield environment


@pytest.fixture
def http(environment: dict[str, str]) -> Iterator[httpx.Client]:
    with client(environment) as http:
        yield http


def filled(text: str, environment: dict[str, str]) -> str:
    return text.format(port=environment["GANCLINIC_PORT"])


def create(http: httpx.Client, **headers: str) -> httpx.Response:
    return http.post("/v1/runs", json={"spec": SPEC}, headers=headers)


def count(http: httpx.Client) -> int:
    return len(http.get("/v1/runs").json()["items"])


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_another_host_is_refused_whatever_is_asked_for(
    environment: dict[str, str], http: httpx.Client, host: str
) -> None:
    before = count(http)
    for method, path in [("GET", "/v1/runs"), ("GET", "/v1/health"), ("POST", "/v1/runs"), ("GET", "/metrics")]:
        answer = http.request(method, path, headers={"Host": filled(host, environment)})
        assert (answer.status_code, answer.headers["content-type"]) == (421, PROBLEM), path
        assert "GANCLINIC_ALLOWED_HOSTS" in answer.json()["detail"]
    assert count(http) == before


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:{port}", "localhost", "LocalHost.:{port}", "[::1]:9", "[0:0::1]", "clinic.example", "gpu-server"],
)
def test_the_names_of_loopback_and_those_of_the_setting_are_known(
    environment: dict[str, str], http: httpx.Client, host: str
) -> None:
    assert http.get("/v1/runs", headers={"Host": filled(host, environment)}).status_code == 200


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_a_page_of_another_origin_changes_nothing(environment: dict[str, str], http: httpx.Client, origin: str) -> None:
    before = count(http)
    headers = {"Origin": filled(origin, environment)}
    answer = create(http, **headers)
    assert (answer.status_code, answer.headers["content-type"]) == (403, PROBLEM)
    assert "Origin" in answer.json()["detail"]
    for method in ("PUT", "PATCH", "DELETE"):
        assert http.request(method, "/v1/runs/x", headers=headers).status_code == 403
    assert count(http) == before
    assert http.get("/v1/runs", headers=headers).status_code == 200  # a browser lets no foreign page read the answer


def test_of_two_origins_none_may_be_foreign(environment: dict[str, str], http: httpx.Client) -> None:
    own = f"http://127.0.0.1:{environment['GANCLINIC_PORT']}"
    answer = http.post("/v1/runs", json={"spec": SPEC}, headers=[("Origin", own), ("Origin", "http://evil.example")])
    assert answer.status_code == 403


def test_scripts_and_pages_of_our_own_change_what_they_may(environment: dict[str, str], http: httpx.Client) -> None:
    port = environment["GANCLINIC_PORT"]
    assert create(http).status_code == 202
    assert create(http, Origin=f"http://127.0.0.1:{port}").status_code == 202
    assert create(http, Host=f"localhost:{port}", Origin=f"http://LOCALHOST:{port}").status_code == 202
    # behind a proxy with TLS: one that hands the name on, and one that does not
    assert create(http, Host="clinic.example", Origin="https://clinic.example").status_code == 202
    assert create(http, Host="clinic.example", Origin="https://clinic.example:443").status_code == 202
    assert create(http, Origin="https://clinic.example").status_code == 202
    assert create(http, Origin="https://clinic.example.evil.example").status_code == 403


def test_a_probe_of_http_1_0_need_not_name_a_host(environment: dict[str, str]) -> None:
    with socket.create_connection(("127.0.0.1", int(environment["GANCLINIC_PORT"])), timeout=10) as connection:
        connection.sendall(b"GET /v1/health/ready HTTP/1.0\r\n\r\n")
        assert connection.recv(64).startswith(b"HTTP/1.1 200 ")


def test_two_hosts_are_no_request(environment: dict[str, str]) -> None:
    with socket.create_connection(("127.0.0.1", int(environment["GANCLINIC_PORT"])), timeout=10) as connection:
        connection.sendall(b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert connection.recv(64).startswith(b"HTTP/1.1 400 ")


# --- what is known by default -----------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", ["127.0.0.1", "localhost", "::1"])
def test_on_loopback_only_its_names_are_known(bound: str) -> None:
    known = KnownHosts.of(bound, ())
    assert all(host in known for host in ("localhost", "127.0.0.1", "::1"))
    assert not any(host in known for host in ("10.0.0.5", "gpu-server", socket.gethostname().lower() + ".example"))


def test_the_bound_name_and_that_of_the_machine_are_known() -> None:
    known = KnownHosts.of("10.0.0.5", ())
    assert "10.0.0.5" in known
    assert "10.0.0.6" not in known
    assert socket.gethostname().lower() in known
    assert "gpu-server" in KnownHosts.of("GPU-Server", ())


def test_an_address_of_one_network_is_known_without_its_name() -> None:
    assert "fe80::1" in KnownHosts.of("fe80::1%eth0", ())


# as in the images of docker compose; the system takes the short forms for the same
@pytest.mark.parametrize("bound", ["0.0.0.0", "::", "", "0", "0.0", "0x0"])
def test_on_all_addresses_every_address_is_known_and_no_foreign_name(bound: str) -> None:
    known = KnownHosts.of(bound, ("clinic.example",))
    assert all(host in known for host in ("10.0.0.5", "2001:db8::5", "clinic.example", socket.gethostname().lower()))
    assert not any(host in known for host in ("evil.example", "10.0.0.5.evil.example", "0x0a000005", ""))


OWN_NAME = socket.gethostname().lower()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("10.9.8.7", 200),  # an address cannot be made to lead elsewhere
        ("10.9.8.7:80", 200),
        ("[2001:db8::5]", 200),
        ("localhost", 200),
        (OWN_NAME, 200),
        (f"{OWN_NAME.upper()}.", 200),
        (f"{OWN_NAME}.evil.example", 421),
        ("evil.example", 421),
        ("10.9.8.7.evil.example", 421),
        ("10.9.8", 421),
        ("clinic.example", 421),  # no setting names it
    ],
)
def test_a_service_on_all_addresses_answers_to_addresses_and_its_own_name(
    everywhere: dict[str, str], host: str, status: int
) -> None:
    with client(everywhere) as http:
        answer = http.get("/v1/runs", headers={"Host": host})
        assert answer.status_code == status
        page = {"Host": host, "Origin": "http://evil.example"}
        assert create(http, **page).status_code == (403 if status == 200 else 421)


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Of a running service on all addresses, and no name in its settings."""
    folder = tmp_path_factory.mktemp("everywhere")
    environment = environment_of(f"sqlite:///{folder / 'ganclinic.db'}", folder, GANCLINIC_HOST="0.0.0.0")
    migrate(environment)
    with serving(environment, folder / "api.log"):
        yield environment
