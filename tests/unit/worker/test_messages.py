import pytest

from worker.messages import Event, Failed, Fellow, HandedBack, Stepped, Ticket, Working, parse_event


@pytest.mark.parametrize(
    "event",
    [
        Working(on="loading data"),
        Stepped(step=3),
        Failed(kind="A", error="two\nlines"),
        HandedBack(run_id="0123456789abcdef"),
    ],
)
def test_an_event_is_one_line_and_comes_back(event: Event) -> None:
    line = event.to_line()
    assert line.index("\n") == len(line) - 1
    assert parse_event(line) == event


@pytest.mark.parametrize("line", ["", "\n", "100 %", "{}", "[1]", '{"event": "another"}', '{"event": "stepped"}'])
def test_a_line_that_is_no_event_is_none(line: str) -> None:
    assert parse_event(line) is None


def test_a_ticket_comes_back() -> None:
    fellow = Fellow(run_id="123456789abcdef0", token=1, attempt=1)
    ticket = Ticket(run_id="0123456789abcdef", token=3, attempt=2, device="cuda:1", is_stacked=True, fellows=(fellow,))
    assert Ticket.model_validate_json(ticket.to_line()) == ticket


def test_each_run_of_a_ticket_has_one_of_its_own() -> None:
    fellow = Fellow(run_id="123456789abcdef0", token=7, attempt=4)
    ticket = Ticket(run_id="0123456789abcdef", token=3, attempt=2, device="cpu", is_stacked=True, fellows=(fellow,))
    first, second = ticket.each
    assert (first.run_id, first.token, first.attempt, first.fellows) == (ticket.run_id, 3, 2, ())
    assert (second.run_id, second.token, second.attempt, second.device) == (fellow.run_id, 7, 4, "cpu")
