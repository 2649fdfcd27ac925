import psycopg
import redis

from tests.support.servers import BrokerServer, PostgresServer


def test_every_test_gets_its_own_empty_database(postgres_server: PostgresServer) -> None:
    with postgres_server.database() as first, postgres_server.database() as second:
        with psycopg.connect(first) as connection:
            connection.execute("CREATE TABLE only_here (id int)")
        with psycopg.connect(second) as connection:
            assert connection.execute("SELECT to_regclass('only_here')").fetchone() == (None,)


def test_postgres_listens_on_no_port(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)


def test_the_broker_is_empty_and_listens_on_no_port(broker_url: str, broker_server: BrokerServer) -> None:
    assert broker_url.startswith("redis+socket:///")
    with redis.Redis(unix_socket_path=str(broker_server.socket)) as client:
        assert client.dbsize() == 0
        assert client.config_get("port") == {b"port": b"0"} or client.config_get("port") == {"port": "0"}
