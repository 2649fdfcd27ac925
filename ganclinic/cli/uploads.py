"""`ganclinic upload` and `ganclinic uploads`: sets of samples that runs train on."""

import argparse
import json
import shlex

from ganclinic.cli.output import Output
from ganclinic.cli.tables import uploads_table
from ganclinic.client import Client
from ganclinic.views import UploadView

OK = 0
PAIRS = "pairs"


def upload(client: Client, output: Output, options: argparse.Namespace) -> int:
    """`ganclinic upload`."""
    made = client.upload(options.path, name=options.name, image_size=options.image_size, pairs=options.pairs)
    output.result(made.model_dump(mode="json"), made.id)
    output.note(
        f"{_words(made)}. Train on them: "
        f"ganclinic run PRESET|FILE --set {shlex.quote('dataset=' + json.dumps(_dataset(made)))}"
    )
    return OK


def _words(made: UploadView) -> str:
    if made.kind == PAIRS:
        return (
            f"{made.count // 2} pairs of the shape {list(made.shape)} in the folders {' and '.join(made.class_names)}"
        )
    classes = f" in {len(made.class_names)} classes" if made.class_names else ""
    return f"{made.count} {made.kind} of the shape {list(made.shape)}{classes}"


def _dataset(made: UploadView) -> dict[str, str]:
    """Of a spec that trains on it."""
    if made.kind != PAIRS:
        return {"name": "upload", "upload": made.id}
    first, second = made.class_names
    return {"name": "upload-pairs", "upload": made.id, "input": first, "target": second}


def uploads(client: Client, output: Output, options: argparse.Namespace) -> int:
    """`ganclinic uploads`."""
    if options.delete is not None:
        client.delete_upload(options.delete)
        output.note(f"Deleted {options.delete}.")
    found = client.uploads()
    output.result([item.model_dump(mode="json") for item in found], uploads_table(found))
    return OK
