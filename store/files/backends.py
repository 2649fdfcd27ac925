"""Where the settings say that files lie: in directories of the home, or in a bucket with copies there."""

from pathlib import Path

from store.core.settings import Settings
from store.files.artifacts import Artifacts
from store.files.local import Files, LocalFiles
from store.files.s3 import Bucket, S3Files


def open_artifacts(settings: Settings) -> Artifacts:
    """Pictures, and the samples that are compared."""
    return Artifacts(artifact_files(settings))


def open_uploaded(settings: Settings) -> Artifacts:
    """The arrays of uploaded sets that runs train on."""
    return Artifacts(uploaded_files(settings))


def artifact_files(settings: Settings, copies: Path | None = None) -> Files:
    """The files of `open_artifacts`; `copies`: where those of a bucket are kept here, by default in the home."""
    return _open(settings, "artifacts", copies or settings.artifacts)


def uploaded_files(settings: Settings, copies: Path | None = None) -> Files:
    """The files of `open_uploaded`; `copies` as above."""
    return _open(settings, "uploaded", copies or settings.uploaded)


def checkpoint_files(settings: Settings, copies: Path | None = None) -> Files:
    """Checkpoints, as `run/file`; `copies` as above."""
    return _open(settings, "checkpoints", copies or settings.checkpoints)


def _open(settings: Settings, folder: str, directory: Path) -> Files:
    if settings.store_url is None:
        return LocalFiles(directory)
    access_key, secret_key = settings.s3_access_key, settings.s3_secret
    assert access_key is not None, "the settings have been checked"
    assert secret_key is not None, "the settings have been checked"
    bucket = Bucket(
        url=settings.store_url,
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        path_style=settings.s3_path_style,
        access_key=access_key,
        secret_key=secret_key,
    )
    return S3Files(bucket.folder(folder), directory)
