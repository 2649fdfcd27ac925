import json
import logging
import sys
import threading

import pytest
from pydantic import SecretStr

from store.core.settings import Settings
from store.operations.logging import JsonFormatter, LineFormatter, add_context, log_context


def record(message: str, *values: object) -> logging.LogRecord:
    made = logging.LogRecord("worker", logging.WARNING, "", 0, message, values, None)
    made.created, made.msecs = 86_400.25, 250
    return made


def test_a_json_line_is_one_object_with_its_time_in_utc_and_its_context() -> None:
    with log_context(attempt=2):
        line = JsonFormatter(run="0123").format(record("epoch %d\nof 5", 3))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "1970-01-02T00:00:00.250Z",
        "level": "WARNING",
        "logger": "worker",
        "run": "0123",
        "attempt": 2,
        "message": "epoch 3\nof 5",
    }


def test_a_traceback_stays_in_its_json_line() -> None:
    failed = record("it failed")
    try:
        raise ValueError("what is wrong")
    except ValueError:
        failed.exc_info = sys.exc_info()
    line = JsonFormatter().format(failed)
    assert "\n" not in line
    assert json.loads(line)["traceback"].endswith("ValueError: what is wrong")


def test_a_context_ends_with_its_block_and_is_that_of_its_thread() -> None:
    formatter, seen = LineFormatter(), list[str]()
    with log_context(run="0123"):
        thread = threading.Thread(target=lambda: seen.append(formatter.format(record("elsewhere"))))
        thread.start()
        thread.join()
        seen.append(formatter.format(record("here")))
    seen.append(formatter.format(record("after")))
    assert [line.partition("worker ")[2] for line in seen] == ["elsewhere", "run=0123 here", "after"]


def test_added_context_is_on_all_later_lines_of_the_thread() -> None:
    lines = list[str]()

    def log() -> None:
        add_context(request="r1")
        lines.append(LineFormatter().format(record("served")))

    thread = threading.Thread(target=log)
    thread.start()
    thread.join()
    assert lines[0].endswith("worker request=r1 served")


def test_secrets_are_on_no_line() -> None:
    settings = Settings(
        token=SecretStr("correct-horse"),
        metrics_token=SecretStr("battery-staple"),
        database_url="postgresql://me:s3cret%2Fword@db/clinic",
        broker_url="redis://:hunter2hunter2@broker",
    )
    message = "correct-horse battery-staple s3cret%2Fword s3cret/word hunter2hunter2"
    for formatter in (LineFormatter(settings.secrets), JsonFormatter(settings.secrets)):
        line = formatter.format(record("%s", message))
        assert "*** *** *** *** ***" in line


SECRET = 'pa"ss\\wörd'


@pytest.mark.parametrize("message", [SECRET, json.dumps({"token": SECRET}), repr(SECRET)])
def test_a_secret_is_hidden_also_where_it_is_escaped(message: str) -> None:
    for formatter in (LineFormatter([SECRET]), JsonFormatter([SECRET])):
        with log_context(worker=SECRET):
            line = formatter.format(record("%s", message))
        assert "ss" not in line.replace("message", "")
        assert line.count("***") == 2


def test_a_secret_that_is_named_as_a_field_leaves_the_line_whole() -> None:
    failed = record("the traceback is on an attempt")
    try:
        raise ValueError("traceback")
    except ValueError:
        failed.exc_info = sys.exc_info()
    document = json.loads(JsonFormatter(["traceback"], attempt=2).format(failed))
    assert (document["message"], document["attempt"]) == ("the *** is on an attempt", 2)
    assert document["traceback"].endswith("ValueError: ***")


def test_a_short_secret_does_not_hide_half_of_the_log() -> None:
    assert LineFormatter(["or"]).format(record("words")).endswith("worker words")


def test_every_setting_that_is_a_secret_is_hidden() -> None:
    named = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    settings = Settings.model_validate({name: f"a-word-for-{name}" for name in named})
    assert {f"a-word-for-{name}" for name in named} <= set(settings.secrets)
