"""The service's settings. This is the only reader of the environment: every field is `GANCLINIC_<NAME>`.

But for one, whose name OpenTelemetry has chosen, and for `visible_gpus`.
"""

import os
import platform
import re
import secrets
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, IPvAnyNetwork, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import URL

from ganlib.spec.problems import in_words, problems_of
from ganlib.spec.worker_tags import WorkerTags

ALIVE_FOR = timedelta(seconds=30)
"""A worker that was heard of within this is alive: three missed heartbeats of the default settings."""


def _from_seconds(value: Any) -> Any:
    return float(value) if isinstance(value, str) else value


def _from_list(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


Duration = Annotated[timedelta, BeforeValidator(_from_seconds), Field(gt=timedelta(0))]
"""A positive time span; in the environment a number of seconds."""
Directory = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]


HostName = Annotated[
    str, Field(pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.-]{0,254}|\[?[0-9A-Fa-f:.]{2,45}\]?)$"), AfterValidator(str.lower)
]
"""A name or an address, without scheme and port."""
SHORTEST_TOKEN = 12
"""Characters: what is shorter can be guessed, and is not taken out of logs."""
FEWEST_DIFFERENT = 4
WELL_KNOWN = ("admin", "changeme", "default", "example", "ganclinic", "password", "postgres", "secret", "token")
"""Words that stand in examples, alone, again and again, or with digits and dashes."""


def require_secret(token: SecretStr) -> SecretStr:
    """The token, where nobody can guess it.

    Raises:
        ValueError: it is empty, short or well known; the message does not repeat it.
    """
    problem = _why_no_secret(token.get_secret_value())
    if problem is not None:
        raise ValueError(
            f"{problem}; set at least {SHORTEST_TOKEN} characters that nobody can guess, as `openssl rand -hex 24` "
            "prints"
        )
    return token


def _why_no_secret(text: str) -> str | None:
    letters = re.sub(r"[^a-z]", "", text.lower())
    if not text.strip():
        return "is empty"
    if text.strip() != text:
        return "begins or ends with a blank, which no request can send"
    if re.fullmatch(f"({'|'.join(WELL_KNOWN)})+", letters) is not None:
        return "is made of words that stand in examples"
    if len(text) < SHORTEST_TOKEN:
        return f"has only {len(text)} characters"
    if len(set(text)) < FEWEST_DIFFERENT:
        return "repeats the same few characters"
    return None


Secret = Annotated[SecretStr, AfterValidator(require_secret)]
LogFormat = Literal["text", "json"]

SHORTEST_GRACE_IN_BUCKETS = timedelta(minutes=30)
"""What was put into a bucket less than ten minutes ago is not put again; the rest is for clocks that differ."""


class Settings(BaseSettings):
    """Where the service keeps its state, how it is reached, and how patient its workers are."""

    model_config = SettingsConfigDict(
        env_prefix="GANCLINIC_",
        env_ignore_empty=True,
        frozen=True,
        validate_default=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,  # URLs may hold passwords
    )

    home: Directory = Path(".ganclinic")
    """State directory, mode 0700: database, token, data sets, uploads, checkpoints, artifacts, logs."""
    database_url: str | None = Field(default=None, pattern=r"^(sqlite:///.|postgres(ql(\+psycopg)?)?://)", repr=False)
    """`sqlite:///…` or `postgresql://…`; default: a SQLite file in `home`."""
    broker_url: str | None = Field(default=None, pattern=r"^(rediss?|redis\+socket)://", repr=False)
    """`redis://…`, `rediss://…` or `redis+socket://…`; default: the Unix socket of the embedded broker."""
    data_dir: Directory | None = None
    """Where data sets are looked for and downloaded to; default: `data` in `home`."""
    store_url: str | None = Field(default=None, pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w-][\w.-]*)*/?$")
    """`s3://bucket/prefix`: where artifacts, uploads and checkpoints lie; default: in `home`."""
    s3_endpoint: str | None = Field(default=None, pattern=r"^https?://[^/@]+/?$")
    """`https://…` of an S3-compatible store; default: Amazon's."""
    s3_region: str = "us-east-1"
    """Region of the bucket."""
    s3_path_style: bool = True
    """Whether the bucket is named in the path of an address, not in its host."""
    s3_access_key: str | None = None
    """Name of the key to the bucket."""
    s3_secret_key: SecretStr | None = Field(default=None, repr=False)
    """The key's secret."""
    s3_secret_file: Path | None = Field(default=None, repr=False)
    """File that holds the key's secret instead."""
    token: Secret | None = None
    """Bearer token of the API; default: the one in the file `token` in `home`."""
    tokens_file: Directory | None = None
    """File with users, hashes of their tokens, weights, quotas (see `store.scheduling.accounts`); default: one user."""
    metrics_token: Secret | None = None
    """Another bearer token, which opens `/metrics` and nothing else."""
    host: str = "127.0.0.1"
    """Address that the API listens on."""
    port: int = Field(default=8000, ge=0, le=65_535)
    """Port that the API listens on; 0: any free one."""
    allowed_hosts: Annotated[tuple[HostName, ...], NoDecode, BeforeValidator(_from_list)] = ()
    """Names that the service is reached by, as `clinic.example,gpu-server`, besides those of loopback and `host`."""
    webhook_networks: Annotated[tuple[IPvAnyNetwork, ...], NoDecode, BeforeValidator(_from_list)] = ()
    """Networks that webhooks may lie in though the internet does not reach them, as `10.1.0.0/16,127.0.0.1/32`."""
    retention_grace: Duration = timedelta(hours=1)
    """A stored file that no row names is not deleted before it is that old: its row may be about to be written."""
    retention_samples_days: float | None = Field(default=None, gt=0)
    """Pictures of a run that is over are deleted after so many days, but for its last epoch's; default: never."""
    retention_checkpoints_days: float | None = Field(default=None, gt=0)
    """Checkpoints of a run that is over are deleted after so many days; default: never."""
    retention_comparisons_days: float | None = Field(default=None, ge=1)
    """Comparisons of uploaded samples are deleted so many days after their end; default: never."""
    storage_quota_bytes: int | None = Field(default=None, ge=1)
    """Uploads and new runs are refused once stored files take so many bytes; default: never."""
    keep_checkpoints: int = Field(default=2, ge=1)
    """How many of a run's newest checkpoints are kept, besides its newest healthy one."""
    max_upload_bytes: int = Field(default=1024**3, ge=1)
    """Bytes that a request with uploaded samples may have."""
    max_unpacked_bytes: int = Field(default=2 * 1024**3, ge=1)
    """Bytes that one set of uploaded samples may have once it is unpacked."""
    lease_duration: Duration = timedelta(seconds=30)  # three missed heartbeats
    """How long a run stays with a worker that is not heard of."""
    heartbeat_interval: Duration = timedelta(seconds=10)
    """How often a worker renews its lease."""
    poll_interval: Duration = timedelta(seconds=5)
    """How often an idle worker looks for work without being rung for."""
    cancel_grace: Duration = timedelta(seconds=10)
    """How long a training may take to stop by itself before it is killed."""
    pause_patience: Duration = timedelta(minutes=10)
    """How long a training that is to pause, or whose time is used up, may take to the end of its epoch; after that, the
    epoch begun is lost."""
    preemption: bool = False
    """Whether a run of low priority gives way to a queued one of a higher; see `store.scheduling.preemption`."""
    preemption_patience: Duration = timedelta(minutes=5)
    """How long a run waits before one of lower priority is asked to give way to it."""
    preemption_rest: Duration = timedelta(hours=1)
    """How long a run that has given way is not asked again."""
    watch_patience: Duration = timedelta(minutes=10)
    """A watched run of which nothing was heard for so long has failed; it goes on when something comes."""
    stall_factor: float = Field(default=10, gt=1)
    """A training that is silent for this many median steps is stalled."""
    stall_minimum: Duration = timedelta(seconds=60)
    """A shorter silence is never a stall."""
    start_timeout: Duration = timedelta(seconds=300)
    """How long the first step may take: it waits for the data."""
    max_attempts: int = Field(default=3, ge=1)
    """How many attempts of a run may be lost before it fails."""
    log_format: LogFormat = "text"
    """How every process logs: `text` for people, or `json`, one object a line."""
    traces_endpoint: str | None = Field(
        default=None, pattern=r"^https?://", repr=False, validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT"
    )
    """`http://…` of an OpenTelemetry collector for traces (see `store.operations.tracing`); default: none."""
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """Device of this worker: `auto`, `cpu`, `cuda` or `cuda:<number>`."""
    gpus: str | None = Field(default=None, pattern=r"^(all|\d+(,\d+)*)$")
    """GPUs of this worker, instead of `device`: `all`, or their numbers, as `0,2`."""
    slots_per_gpu: int = Field(default=1, ge=1, le=64)
    """How many runs may share a GPU of this worker, as far as the memory that they ask for allows."""
    cpu_processes: int = Field(default=1, ge=1, le=64)
    """How many processes a run that asks for several GPUs may have where this worker has none."""
    worker_labels: Annotated[WorkerTags, NoDecode, BeforeValidator(_from_list)] = ()
    """Labels of this worker, as `h100,fast`: it also takes runs that ask for some of them; default: none."""
    stack_members: int | None = Field(default=None, ge=1, le=64)
    """How many waiting runs of one owner a process trains together at most, where their specs allow it; 1: each alone.
    Default: 16 on the CPU, and 1 where this worker has GPUs, on which it was not measured."""
    spare_training: bool = True
    """Whether an idle worker keeps a training process in reserve, which takes a third of a GiB and saves seconds."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads of a training; default: as many as torch takes."""

    @model_validator(mode="after")
    def _lease_outlives_a_missed_heartbeat(self) -> Self:
        if self.lease_duration < 2 * self.heartbeat_interval:
            raise ValueError(
                f"lease_duration: {self.lease_duration.total_seconds():g} s is too short for a heartbeat every "
                f"{self.heartbeat_interval.total_seconds():g} s; allowed: at least twice as long"
            )
        return self

    @model_validator(mode="after")
    def _a_worker_says_in_time_that_it_is_alive(self) -> Self:
        longest = ALIVE_FOR / 2
        for name, interval in (("heartbeat", self.heartbeat_interval), ("poll", self.poll_interval)):
            if interval > longest:
                raise ValueError(
                    f"{name}_interval: {interval.total_seconds():g} s is too long, for a worker counts as dead once it "
                    f"was not heard of for {ALIVE_FOR.total_seconds():g} s; allowed: heartbeat_interval and "
                    f"poll_interval of at most {longest.total_seconds():g} s each"
                )
        return self

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be logged: the tokens, and the passwords in URLs."""
        tokens = [token.get_secret_value() for token in (self.token, self.metrics_token, self.s3_secret) if token]
        urls = [urlsplit(url) for url in (self.database_url, self.broker_url, self.traces_endpoint) if url]
        passwords = [url.password for url in urls if url.password]
        passwords += [password for url in urls for password in parse_qs(url.query).get("password", ())]
        return (*tokens, *passwords, *map(unquote, passwords))

    @model_validator(mode="after")
    def _the_grace_outlives_what_is_taken_for_fresh(self) -> Self:
        if self.store_url is not None and self.retention_grace < SHORTEST_GRACE_IN_BUCKETS:
            raise ValueError(
                f"retention_grace: {self.retention_grace.total_seconds():g} s is too short for files in a bucket; "
                f"allowed: at least {SHORTEST_GRACE_IN_BUCKETS.total_seconds():g} s"
            )
        return self

    @model_validator(mode="after")
    def _the_bucket_has_a_key(self) -> Self:
        if self.store_url is not None and (self.s3_access_key is None or self.s3_secret is None):
            raise ValueError(
                "store_url: a bucket needs a key; set GANCLINIC_S3_ACCESS_KEY, and GANCLINIC_S3_SECRET_KEY or "
                "GANCLINIC_S3_SECRET_FILE, the name of a file that holds it"
            )
        return self

    @property
    def s3_secret(self) -> SecretStr | None:
        """The secret of the key to the bucket; None without one."""
        if self.s3_secret_key is not None or self.s3_secret_file is None:
            return self.s3_secret_key
        try:
            text = self.s3_secret_file.read_text("utf-8").strip()
        except OSError as error:
            raise ValueError(f"s3_secret_file: cannot be read: {error}") from None
        return SecretStr(text) if text else None

    @property
    def database(self) -> str:
        """URL of the database."""
        if self.database_url is not None:
            return self.database_url
        return URL.create("sqlite", database=str(self.home / "ganclinic.db")).render_as_string()

    @property
    def broker(self) -> str:
        """URL of the broker."""
        return self.broker_url or f"redis+socket://{quote(str(self.home / 'run' / 'broker.sock'))}"

    @property
    def data(self) -> Path:
        """Directory of the data sets."""
        return self.data_dir or self.home / "data"

    @property
    def artifacts(self) -> Path:
        """Root of `LocalArtifacts`."""
        return self.home / "artifacts"

    @property
    def uploads(self) -> Path:
        """Directory of what is being uploaded; its files have no names and vanish with their request."""
        return self.home / "uploads"

    @property
    def uploaded(self) -> Path:
        """Root of the `LocalArtifacts` of uploaded sets that runs train on."""
        return self.home / "uploaded"

    @property
    def links(self) -> Path:
        """Directory of links that `ganclinic open` has made, each good for one session."""
        return self.home / "links"

    @property
    def cache(self) -> Path:
        """Directory of what evaluations compute once for all."""
        return self.home / "cache"

    @property
    def checkpoints(self) -> Path:
        """Directory with one directory a run."""
        return self.home / "checkpoints"

    @property
    def connection_turns(self) -> Path:
        """Directory of the turns that trainings of this machine take to connect to PostgreSQL."""
        return self.home / "run" / f"connections-{platform.node()}"

    @property
    def logs(self) -> Path:
        """Directory of the log files."""
        return self.home / "logs"


def describe_invalid(error: ValidationError) -> str:
    """What is wrong with the settings, on one line. What pydantic was given is left out: it may hold passwords."""
    return in_words(problems_of(error, whole="", show_input=False))


def visible_gpus() -> str | None:
    """Which GPUs CUDA shows to this process and its children: an empty text hides all, None hides none."""
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def child_environment(**changes: str) -> dict[str, str]:
    """The environment of a child process: our own, with these changes."""
    return {**os.environ, **changes}


def needed_by_python() -> dict[str, str]:
    """Variables without which some Pythons do not start, or do not find their libraries; those that are set."""
    names = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME")
    return {name: os.environ[name] for name in names if name in os.environ}


def create_home(home: Path) -> Path:
    """The state directory, made with mode 0700 where it is missing."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return home


def read_or_create_token(home: Path) -> SecretStr:
    """The API's token from the file `token` in `home`; the first caller makes it, with mode 0600.

    Raises:
        ValueError: the file holds what anybody could guess.
    """
    path = create_home(home) / "token"
    if not path.exists():
        _write_once(path, secrets.token_urlsafe(32))
    try:
        return require_secret(SecretStr(path.read_text("ascii").strip()))
    except ValueError as error:
        raise ValueError(f"{path}: the token {error}; or delete the file, and one is made") from None


def _write_once(path: Path, text: str) -> None:
    """Writes the whole file unless it exists: of two writers at once, one wins and none sees half a file."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text + "\n")
        path.hardlink_to(temporary)
    except FileExistsError:
        return
    finally:
        temporary.unlink()
