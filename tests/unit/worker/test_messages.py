import pytest

from worker.messages import Event, Failed, Stepped, Ticket, Working, parse_event


@pytest.mark.parametrize("event", [Working(on="loading data"), Stepped(step=3), Failed(kind="A", error="two\nlines")])
def test_an_event_is_one_line_and_comes_back(event: Event) -> None:
    line = event.to_line()
    assert line.index("\n") == len(line) - 1
    assert parse_event(line) == event


@pytest.mark.parametrize("line", ["", "\n", "100 %", "{}", "[1]", '{"event": "another"}', '{"event": "stepped"}'])
def test_a_line_that_is_no_event_is_none(line: str) -> None:
    assert parse_event(line) is None


def test_a_ticket_comes_back() -> None:
    ticket = Ticket(run_id="0123456789abcdef", token=3, attempt=2, device="cuda:1")
    assert Ticket.model_validate_json(ticket.to_line()) == ticket
