"""Webhooks: the client and the command line, against the API."""

import json
from collections.abc import Iterator
from io import StringIO

import pytest
from rich.console import Console

from ganclinic.cli.output import Output
from ganclinic.cli.parser import make_parser
from ganclinic.cli.webhooks import webhooks
from ganclinic.client import Client
from ganclinic.errors import InvalidInput, InvalidSpec, NotFound
from tests.support.api import TOKEN, Service
from tests.support.serving import served


@pytest.fixture
def client(sqlite_service: Service) -> Iterator[Client]:
    with served(sqlite_service) as url, Client(url, TOKEN) as client:
        yield client


def verb(client: Client, *options: str) -> str:
    out = StringIO()
    output = Output(results=Console(file=out, width=200), notes=Console(file=StringIO()), as_json="--json" in options)
    assert webhooks(client, output, make_parser().parse_args(["webhooks", *options])) == 0
    return out.getvalue()


def test_a_webhook_is_made_listed_and_deleted(client: Client) -> None:
    made = client.create_webhook("https://hooks.test/x", kinds=["status"], statuses=["failed"], format="slack")
    assert made.secret.startswith("whsec_")
    (listed,) = client.webhooks()
    assert (listed.id, listed.kinds, listed.statuses, listed.format) == (made.id, ("status",), ("failed",), "slack")
    client.delete_webhook(made.id)
    assert client.webhooks() == []
    with pytest.raises(NotFound):
        client.delete_webhook(made.id)
    with pytest.raises(NotFound):
        client.create_webhook("https://hooks.test/x", batch="f" * 16)
    with pytest.raises(InvalidSpec):
        client.create_webhook("http://127.0.0.1/")


def test_the_verb_does_so_too(client: Client) -> None:
    assert "ganclinic webhooks --add URL" in verb(client)
    made = verb(client, "--add", "https://hooks.test/x", "--kind", "finding seen").strip()
    assert f"{made}  your runs" in verb(client)
    (document,) = json.loads(verb(client, "--json"))
    assert (document["kinds"], document["format"]) == (["finding seen"], "json")
    assert json.loads(verb(client, "--add", "https://hooks.test/y", "--slack", "--json"))["format"] == "slack"
    assert verb(client, "--rm", made).strip() == made
    with pytest.raises(InvalidInput, match="name it with --add URL"):
        verb(client, "--slack")
