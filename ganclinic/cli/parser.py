"""The options of every verb. What the exit statuses mean is in the help text."""

import argparse
import re
from typing import Protocol

from ganlib.findings import FINDING_NAMES, LABELLED, SEVERITIES, VERDICTS
from ganlib.foreign_logs.objectives import OBJECTIVES
from ganlib.spec.limits import MAX_PRIORITY
from ganlib.wire.statuses import EVENT_KINDS, STATUSES, WEBHOOK_KINDS

EPILOG = """\
exit status:
  0  all is well (with --watch, watch and demo: every run succeeded)
  1  a run failed, was cancelled or halted; diagnose --fail-on: a finding is as severe as that
  2  the command line, a file or a spec is not valid
  3  the service is not reachable, or cannot start
  4  the service does not accept the token
  130  Ctrl-C

which service: --url and --token, else GANCLINIC_URL and GANCLINIC_TOKEN, else `url` and `token` in
~/.config/ganclinic/config.toml, else the one that `ganclinic up` runs from GANCLINIC_HOME or the nearest .ganclinic.

start here: ganclinic demo      or: ganclinic up, and in another terminal: ganclinic run digit8-stable --watch
"""


class Verbs(Protocol):
    """Where verbs are added; argparse's own class is private."""

    def add_parser(self, name: str, *, help: str, description: str) -> argparse.ArgumentParser:
        """The parser of one more verb."""
        ...


def make_parser() -> argparse.ArgumentParser:
    """The parser of all verbs."""
    parser = argparse.ArgumentParser(
        prog="ganclinic",
        description="Trains GANs from run specs, watches every run, and says what goes wrong and what to change.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="show the version, and exit")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_demo(verbs)
    _add_servers(verbs)
    _add_makers(verbs)
    _add_lookers(verbs)
    _add_judges(verbs)
    _add_treatments(verbs)
    _add_compare(verbs)
    _add_diagnose(verbs)
    _add_uploads(verbs)
    _add_sync(verbs)
    _add_scheduling(verbs)
    _add_webhooks(verbs)
    return parser


class _ShowVersion(argparse.Action):
    """Looks the version up where it is asked for: that costs as much time as all else that `--help` does."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        parser.exit(message=f"ganclinic {_version()}\n")


def _version() -> str:
    import importlib.metadata

    try:
        return importlib.metadata.version("ganclinic")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


def _add(verbs: Verbs, name: str, text: str) -> argparse.ArgumentParser:
    """A verb that asks the service."""
    verb = _add_local(verbs, name, text)
    _add_json(verb)
    verb.add_argument("--url", help="the service's URL")
    verb.add_argument("--token", help="its token; GANCLINIC_TOKEN keeps it out of the process list")
    return verb


def _add_json(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true", help="write the result as JSON")


def _add_local(verbs: Verbs, name: str, text: str) -> argparse.ArgumentParser:
    return verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")


def _add_demo(verbs: Verbs) -> None:
    _add(verbs, "demo", "train three published experiments on real digits, and say what is wrong with two of them")


def _add_servers(verbs: Verbs) -> None:
    up = _add_local(verbs, "up", "start the whole service on this machine, until Ctrl-C")
    _add_address(up)
    up.add_argument(
        "--workers", type=_count, metavar="N", help="runs at once (default: one a GPU; without GPU up to 2)"
    )
    _add_address(_add_local(verbs, "api", "start only the API, with the settings in GANCLINIC_*"))
    worker = _add_local(verbs, "worker", "start only a worker, with the settings in GANCLINIC_*")
    worker.add_argument("--device", help="auto, cpu or cuda:N (default: auto)")
    worker.add_argument("--gpus", help="all, or numbers as 0,2: train on each of them")
    worker.add_argument(
        "--slots-per-gpu", type=_count, metavar="N", help="runs that may share a GPU by memory (default: 1)"
    )
    worker.add_argument(
        "--label",
        dest="labels",
        action="append",
        metavar="NAME",
        help="a label that runs may ask for in resources.labels, as h100; may be given again",
    )
    worker.add_argument("--name", help="name in logs and attempts")


def _add_address(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--host", help="address to listen on (default: 127.0.0.1, only this machine)")
    verb.add_argument("--port", type=_port, help="port to listen on (default: 8000; 0: any free one)")


def _add_makers(verbs: Verbs) -> None:
    run = _add(verbs, "run", "queue a run of a preset, or of a spec file")
    run.add_argument(
        "source", metavar="PRESET|FILE", help="a preset's name, or a .toml, .yaml or .json file with a spec"
    )
    run.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="change the spec, e.g. training.epochs=3"
    )
    run.add_argument("--name", help="a name for people")
    run.add_argument("--tag", dest="tags", action="append", default=[], help="a word to find it by; may be given again")
    _add_priority(run, "higher is claimed first (default: 0)")
    run.add_argument("--watch", action="store_true", help="show its progress until it is over")
    batch = _add(verbs, "batch", "queue many runs at once, all of them or none")
    batch.add_argument("file", metavar="FILE", help="a .toml, .yaml or .json file with a list `runs`")
    batch.add_argument("--name", help="a name for people")
    _add_priority(batch, "of all its runs; higher is claimed first (default: each run's own, or 0)")
    batch.add_argument("--watch", action="store_true", help="show their progress until they are over")
    sweep = _add(verbs, "sweep", "queue a run for each combination of values, all of them or none")
    sweep.add_argument("file", metavar="FILE", help="a .toml, .yaml or .json file with `base` and `vary`")
    sweep.add_argument("--name", help="a name for people")
    _add_priority(sweep, "of all its runs; higher is claimed first (default: the base's, or 0)")
    sweep.add_argument("--dry-run", action="store_true", help="list the specs, and queue nothing")
    sweep.add_argument("--watch", action="store_true", help="show their progress until they are over")
    tag = _add(verbs, "tag", "give a run these tags instead of those that it has")
    tag.add_argument("run", metavar="RUN", help="id of a run")
    tag.add_argument(
        "tags", metavar="TAG", nargs="*", help="a word to find it by, as paper/figure-3; none: it has none"
    )
    cancel = _add(verbs, "cancel", "end runs or comparisons, or take them from the queue")
    cancel.add_argument("runs", metavar="RUN", nargs="*", help="id of a run or a comparison")
    cancel.add_argument("--batch", help="a batch's id: all its runs")
    rm = _add(verbs, "rm", "delete runs or comparisons that are over, with all that they have recorded")
    rm.add_argument("runs", metavar="RUN", nargs="+", help="id of a run or a comparison")
    rm.add_argument("--with-labels", action="store_true", help="even where people's labels are lost with them")


def _add_priority(verb: argparse.ArgumentParser, text: str) -> None:
    verb.add_argument("--priority", type=_priority, metavar="N", help=f"{-MAX_PRIORITY} to {MAX_PRIORITY}, {text}")


def _add_lookers(verbs: Verbs) -> None:
    ls = _add(verbs, "ls", "list runs, newest first")
    ls.add_argument("--status", choices=STATUSES)
    ls.add_argument("--verdict", choices=VERDICTS)
    for name in ("preset", "batch", "name", "user"):
        ls.add_argument(f"--{name}")
    ls.add_argument("--tag", dest="tags", action="append", default=[], help="that they have; may be given again")
    ls.add_argument("--limit", type=_count, default=20, help="how many at most (default: 20)")
    show = _add(verbs, "show", "show a run with its verdict, evidence and remedies, or what a comparison found")
    show.add_argument("run", metavar="RUN", help="id of a run or a comparison")
    logs = _add(verbs, "logs", "show what the training process of a run logs")
    logs.add_argument("run", metavar="RUN", help="id of a run")
    logs.add_argument("--attempt", type=_count, metavar="N", help="which attempt (default: the last)")
    logs.add_argument("--tail", type=_count, default=100, metavar="N", help="how many lines, the last (default: 100)")
    logs.add_argument("--follow", action="store_true", help="and go on as it logs more, until the run is over")
    results = _add(verbs, "results", "show what came of a batch's runs, side by side")
    results.add_argument("batch", metavar="BATCH", help="id of a batch")
    results.add_argument(
        "--sort", metavar="FIGURE", help="ndb_over_k, seconds, …; to have the highest first: --sort=-seconds"
    )
    results.add_argument("--verdict", choices=VERDICTS, help="only these")
    results.add_argument("--csv", action="store_true", help="write a line for each run, with every figure")
    download = _add(verbs, "download", "write what a run has recorded into a file")
    download.add_argument("run", metavar="RUN", help="id of a run")
    download.add_argument(
        "what", choices=("losses", "samples"), help="losses: of every step, as CSV; samples: all pictures, as a ZIP"
    )
    download.add_argument("--to", metavar="FILE", help="which file (default: RUN-losses.csv, RUN-samples.zip)")
    watch = _add(verbs, "watch", "show the progress of runs until they are over")
    watch.add_argument("runs", metavar="RUN", nargs="*", help="ids; without any, all that are queued or running")
    watch.add_argument("--batch", help="a batch's id: all its runs")
    events = _add(verbs, "events", "write a line for each thing that changes, until Ctrl-C")
    which = events.add_mutually_exclusive_group()
    which.add_argument("run", metavar="RUN", nargs="?", help="id of a run; without one, all runs from now on")
    which.add_argument("--batch", help="a batch's id: all its runs")
    events.add_argument(
        "--kind", dest="kinds", action="append", choices=EVENT_KINDS, help="only these; may be given again"
    )
    events.add_argument("--count", type=_count, metavar="N", help="end after so many")
    events.add_argument(
        "--after", type=_not_negative, metavar="ID", help="only those after this event; 0: from the first on"
    )
    opened = _add_local(verbs, "open", "open the dashboard in a browser, or a run's page")
    opened.add_argument("run", metavar="RUN", nargs="?", help="id of a run")
    opened.add_argument("--url", help="the service's URL")
    opened.add_argument("--print", action="store_true", dest="only_print", help="write the link, and open no browser")
    presets = _add_local(verbs, "presets", "list the published experiments, or show one")
    _add_json(presets)
    presets.add_argument("preset", metavar="PRESET", nargs="?", help="a preset's name")


def _add_judges(verbs: Verbs) -> None:
    rediagnose = _add(verbs, "rediagnose", "diagnose runs that are over again, by the rules of the service's version")
    rediagnose.add_argument("runs", metavar="RUN", nargs="+", help="id of a run")
    dispute = _add(verbs, "dispute", "say that a finding is in a run, or is not")
    dispute.add_argument("run", metavar="RUN", help="id of a run")
    dispute.add_argument("--finding", required=True, choices=LABELLED, metavar="NAME", help=", ".join(LABELLED))
    holds = dispute.add_mutually_exclusive_group(required=True)
    holds.add_argument("--present", dest="holds", action="store_true", help="it is there")
    holds.add_argument("--absent", dest="holds", action="store_false", help="it is not")
    dispute.add_argument("--epoch", type=_count, metavar="N", help="after which epoch (default: of the whole run)")
    dispute.add_argument("--note", default="", metavar="TEXT", help="why")
    dispute.add_argument("--author", metavar="NAME", help="who says so (default: the user)")
    labels = _add(verbs, "labels", "list what people said of verdicts, newest first")
    labels.add_argument("run", metavar="RUN", nargs="?", help="id of a run: only what was said of it")
    labels.add_argument("--export", action="store_true", help="write all as JSON lines, with each run's spec")
    labels.add_argument("--limit", type=_count, default=20, help="how many of all runs' at most (default: 20)")


def _add_webhooks(verbs: Verbs) -> None:
    webhooks = _add(verbs, "webhooks", "list whom the service tells of what changes in your runs, or add somebody")
    change = webhooks.add_mutually_exclusive_group()
    change.add_argument("--add", metavar="URL", help="tell this address of findings, and of runs that are over")
    change.add_argument("--rm", dest="remove", metavar="WEBHOOK", help="tell it no more")
    webhooks.add_argument("--batch", metavar="BATCH", help="with --add: only of the runs of this batch")
    webhooks.add_argument(
        "--kind", dest="kinds", action="append", default=[], choices=WEBHOOK_KINDS, help="with --add: only of these"
    )
    webhooks.add_argument(
        "--status", dest="statuses", action="append", default=[], choices=STATUSES, help="with --add: of these statuses"
    )
    webhooks.add_argument("--slack", action="store_true", help="with --add: as Slack and Mattermost take it")


def _add_treatments(verbs: Verbs) -> None:
    treat = _add(verbs, "treat", "try remedies on a sick run that is over, one after the other, until one helps")
    treat.add_argument("run", metavar="RUN", help="id of a run")
    treat.add_argument("--finding", choices=FINDING_NAMES, metavar="NAME", help="what to treat (default: its verdict)")
    treat.add_argument("--tries", type=_count, default=3, metavar="N", help="how many at most (default: 3)")
    treat.add_argument(
        "--epochs", type=_count, metavar="N", help="of all tries together (default: the run's, for each and once more)"
    )
    treat.add_argument("--wait", action="store_true", help="show how it goes until it is over; exit status 1: no cure")
    family = _add(verbs, "family", "show the run that people made and all that remedies made of it")
    family.add_argument("run", metavar="RUN", help="id of any of them")


def _add_compare(verbs: Verbs) -> None:
    compare = _add(verbs, "compare", "compare two sets of samples, fakes with reals")
    compare.add_argument("real", metavar="REAL", help=".npy, .npz, or .zip, .tar or .tar.gz of pictures")
    compare.add_argument("fake", metavar="FAKE", help="the fakes, in any of the same forms")
    compare.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="an option, e.g. space=efficientnet-lite0"
    )
    compare.add_argument("--wait", action="store_true", help="wait until it is over, and write what was found")
    listed = _add(verbs, "comparisons", "list comparisons, newest first")
    listed.add_argument("--status", choices=STATUSES)
    listed.add_argument("--limit", type=_count, default=20, metavar="N", help="how many at most (default: 20)")


def _add_diagnose(verbs: Verbs) -> None:
    diagnose = _add_local(verbs, "diagnose", "diagnose the training of any other trainer from its losses")
    _add_json(diagnose)
    diagnose.add_argument(
        "history",
        metavar="LOG",
        nargs="+",
        help="what the trainer prints or writes: files, folders, or - for standard input; see `ganclinic formats`",
    )
    diagnose.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="SIGNAL=NAME",
        help="what a column of an unknown name holds, as d_loss=LossD; may be given again",
    )
    diagnose.add_argument(
        "--fail-on", choices=SEVERITIES[1:], help="exit with 1 where a finding is as severe as this, or more"
    )
    diagnose.add_argument(
        "--follow", action="store_true", help="judge again as the log grows, until Ctrl-C, --idle or --fail-on"
    )
    diagnose.add_argument(
        "--idle", type=_seconds, metavar="SECONDS", help="with --follow: end where nothing has come for so long"
    )
    diagnose.add_argument(
        "--fakes",
        action="append",
        default=[],
        metavar="[EPOCH=]FILE",
        help=".npy, .npz or .pt of fakes [n, …], a folder of pictures, or one picture that is a grid of them; of the "
        "last epoch unless one is named, here or by arrays called epoch_3",
    )
    diagnose.add_argument("--real", metavar="FILE", help="the training data, in any of these forms")
    diagnose.add_argument(
        "--tile", type=_count, metavar="PIXELS", help="side of a sample in a grid (default: as large as the reals)"
    )
    diagnose.add_argument("--objective", choices=OBJECTIVES, help="the adversarial loss (default: by its numbers)")
    diagnose.add_argument("--steps-per-epoch", type=_count, metavar="N", help="where no column counts epochs")
    diagnose.add_argument(
        "--d-loss",
        choices=("mean", "sum"),
        help="what a single loss of the discriminator is of its parts on reals and on fakes (default: by its numbers)",
    )
    formats = _add_local(verbs, "formats", "list the trainers and the forms of files whose logs diagnose reads")
    _add_json(formats)


def _add_uploads(verbs: Verbs) -> None:
    upload = _add(verbs, "upload", "store your own images or points, for runs to train on")
    upload.add_argument("path", metavar="PATH", help=".npy, .npz, or .zip, .tar or .tar.gz of pictures")
    upload.add_argument(
        "--image-size", type=_count, metavar="PIXELS", help="resize the centre square of each picture to this"
    )
    upload.add_argument(
        "--convert", choices=("grey", "rgb"), help="make every picture grey, or coloured, where they are mixed"
    )
    upload.add_argument(
        "--pairs",
        action="store_true",
        help="two folders hold pairs, as A/1.png and B/1.png: inputs and targets of image translation",
    )
    upload.add_argument("--name", help="a name for people (default: the file's)")
    uploads = _add(verbs, "uploads", "list what was uploaded, newest first")
    uploads.add_argument("--delete", metavar="UPLOAD", help="delete this one first, by its id")


def _add_sync(verbs: Verbs) -> None:
    sync = _add(verbs, "sync", "send what watched trainers have kept while the service was away")
    sync.add_argument(
        "folder", metavar="DIR", nargs="?", default=".ganclinic-watch", help="where (default: %(default)s)"
    )


def _add_scheduling(verbs: Verbs) -> None:
    pause = _add(verbs, "pause", "pause runs: queued ones at once, running ones at the end of their epoch")
    pause.add_argument("runs", metavar="RUN", nargs="+", help="id of a run")
    resume = _add(verbs, "resume", "put paused runs back into the queue, at their old place")
    resume.add_argument("runs", metavar="RUN", nargs="+", help="id of a run")
    extend = _add(verbs, "extend", "let a run that is over go on from its last checkpoint, with more epochs")
    extend.add_argument("run", metavar="RUN", help="id of a run that succeeded, was halted, or has used up its time")
    extend.add_argument("--epochs", type=_count, required=True, metavar="N", help="how many more")
    why = _add(verbs, "why", "say why a run waits, and when it may begin")
    why.add_argument("run", metavar="RUN", help="id of a run")
    _add(verbs, "workers", "list the workers")
    drain = _add(verbs, "drain", "let workers finish what they have and claim nothing more")
    drain.add_argument("worker", metavar="WORKER", nargs="?", help="its name (default: every worker)")
    drain.add_argument("--end", action="store_true", help="let them claim again")
    token = _add_local(verbs, "token", "make a token for a user, and the lines for GANCLINIC_TOKENS_FILE")
    _add_json(token)
    token.add_argument("--user", required=True, type=_owner_name, metavar="NAME", help="whose it is")
    token.add_argument("--team", type=_owner_name, metavar="NAME", help="the user's team")


def _owner_name(text: str) -> str:
    if not re.fullmatch("[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}", text):
        raise argparse.ArgumentTypeError(f"'{text}' is no name; allowed: letters, digits, and then also _ . @ -")
    return text


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 1")
    return int(text)


def _not_negative(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 0")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is no number of seconds above 0")
    return seconds


def _priority(text: str) -> int:
    if not re.fullmatch("-?[0-9]{1,3}", text) or abs(int(text)) > MAX_PRIORITY:
        raise argparse.ArgumentTypeError(f"'{text}' is no priority; allowed: {-MAX_PRIORITY} to {MAX_PRIORITY}")
    return int(text)


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"'{text}' is no port; allowed: 0 to 65535")
    return int(text)
