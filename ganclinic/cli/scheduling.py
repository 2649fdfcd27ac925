"""The verbs about when runs are trained: pause, resume, extend, why, workers, drain, token."""

import argparse
import hashlib
import secrets
from collections.abc import Callable, Sequence

from rich.console import RenderableType
from rich.text import Text

from ganclinic.cli.output import Output
from ganclinic.cli.tables import fields
from ganclinic.cli.words import age_words, count_words, duration_words
from ganclinic.client import Client
from ganclinic.views import RunView, SpreadView, WaitingView, WorkerView

OK = 0


def pause(client: Client, output: Output, options: argparse.Namespace) -> int:
    return _change(client.pause, output, options.runs)


def resume(client: Client, output: Output, options: argparse.Namespace) -> int:
    return _change(client.resume, output, options.runs)


def _change(change: Callable[[str], RunView], output: Output, run_ids: Sequence[str]) -> int:
    runs = [change(run_id) for run_id in run_ids]
    lines = [f"{run.id} {'will pause after its epoch' if run.pause_requested else run.status}" for run in runs]
    output.result([run.to_json() for run in runs], "\n".join(lines))
    return OK


def extend(client: Client, output: Output, options: argparse.Namespace) -> int:
    run = client.extend(options.run, options.epochs)
    output.result(run.to_json(), f"{run.id} {run.status}: {run.epochs_done} of {run.epochs_total} epochs")
    return OK


def why(client: Client, output: Output, options: argparse.Namespace) -> int:
    waiting = client.why_waiting(options.run)
    output.result(waiting.to_json(), _waiting_table(waiting))
    return OK


def _waiting_table(waiting: WaitingView) -> RenderableType:
    rows: list[tuple[str, RenderableType]] = [("run", waiting.run_id), ("status", waiting.status)]
    if waiting.ahead is not None:
        rows.append(("ahead", f"{count_words(waiting.ahead, 'run')} would be claimed before it"))
    rows += [("because", Text(reason.text)) for reason in waiting.reasons]
    if waiting.status == "queued":
        rows.append(("begins in", _spread_words(waiting.starts_in_s)))
    if waiting.status in ("queued", "running", "paused"):
        compared = f", as {count_words(waiting.compared_with, 'run')} like it did" if waiting.compared_with else ""
        rows.append(("takes", _spread_words(waiting.takes_s) + compared))
    rows += [("limit", Text(limit.text)) for limit in waiting.limits]
    return fields(rows)


def _spread_words(spread: SpreadView | None) -> str:
    """`12 min (10 min to 15 min)`: the median, and where half of all runs lie."""
    if spread is None:
        return "unknown"
    if duration_words(spread.low) == duration_words(spread.high):
        return duration_words(spread.median)
    return f"{duration_words(spread.median)} ({duration_words(spread.low)} to {duration_words(spread.high)})"


def workers(client: Client, output: Output, options: argparse.Namespace) -> int:
    known = client.workers()
    document = [worker.to_json() for worker in known]
    empty = Text("No worker was heard of within a day. Start one: ganclinic worker")
    output.result(document, fields([(worker.name, _worker_words(worker)) for worker in known]) if known else empty)
    return OK


def _worker_words(worker: WorkerView) -> str:
    parts = [f"trains {worker.run_id}" if worker.run_id else "idle"]
    if not worker.is_alive:
        parts = ["gone"]
    if worker.is_drained:
        parts.append("drained: claims nothing more")
    elif worker.is_alive and worker.obstacle is not None:
        parts.append(f"waits: {worker.obstacle}")
    if worker.labels:
        parts.append(f"labels {', '.join(worker.labels)}")
    if worker.bf16_speedup is not None:
        parts.append(f"multiplies {worker.bf16_speedup:.2g} times as fast in bf16 as in float32")
    return "; ".join([*parts, f"heard of {age_words(worker.seen_at)}"])


def drain(client: Client, output: Output, options: argparse.Namespace) -> int:
    (client.end_drain if options.end else client.drain)(options.worker)
    which = f"the worker {options.worker}" if options.worker else "every worker"
    words = f"{which} may claim again" if options.end else f"{which} finishes what it has and claims nothing more"
    output.result({"worker": options.worker, "drained": not options.end}, words)
    return OK


def token(output: Output, options: argparse.Namespace) -> int:
    made = secrets.token_urlsafe(32)
    digest = hashlib.sha256(made.encode()).hexdigest()
    team = f'team = "{options.team}"\n' if options.team else ""
    lines = f'[[users]]\nname = "{options.user}"\n{team}token_sha256 = "{digest}"'
    document = {"user": options.user, "team": options.team, "token": made, "token_sha256": digest, "lines": lines}
    output.result(document, Text(f"{made}\n\n{lines}"))
    output.note(
        "The first line is the token: give it to its user, it is shown only now. The others belong into the file that "
        "GANCLINIC_TOKENS_FILE names (mode 0600), for the API and the workers, which read it when they start."
    )
    return OK
