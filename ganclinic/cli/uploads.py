"""`ganclinic upload` and `ganclinic uploads`: sets of samples that runs train on."""

import argparse

from ganclinic.cli.output import Output
from ganclinic.cli.tables import uploads_table
from ganclinic.cli.words import settings_words
from ganclinic.client import Client
from ganclinic.views import UploadView
from ganlib.spec.data import FEWEST_PAIRS

OK = 0
PAIRS = "pairs"
PAIRS_PRESET = "pix2pix-edges"
MANY_PAIRS = 2000
"""From so many on, as many as are held out by default may be: half of them."""
HELD_OUT_OF = 5
"""Of fewer pairs, one of so many is held out."""
IMAGE_DIMS = 3


def upload(client: Client, output: Output, options: argparse.Namespace) -> int:
    made = client.upload(
        options.path, name=options.name, image_size=options.image_size, pairs=options.pairs, convert=options.convert
    )
    output.result(made.to_json(), made.id)
    output.note(f"{_words(made)}. {_how_to_train(made)}")
    return OK


def _how_to_train(made: UploadView) -> str:
    """The command, or why there is none."""
    pairs = made.count // 2 if made.kind == PAIRS else None
    if pairs is not None and pairs < 2 * FEWEST_PAIRS:
        return f"Too few to train on: at least {FEWEST_PAIRS} pairs are held out, and as many have to be left."
    dataset: dict[str, str | int | bool] = {**_dataset(made)}
    settings = {}
    if pairs is not None and pairs < MANY_PAIRS:
        dataset["held_out"] = settings["evaluation.num_samples"] = max(FEWEST_PAIRS, pairs // HELD_OUT_OF)
    if len(made.shape) == IMAGE_DIMS and made.shape[1] != made.shape[2]:
        dataset["crop"] = True
    preset = "PRESET|FILE" if pairs is None else PAIRS_PRESET
    return f"Train on them: ganclinic run {preset} {settings_words({'dataset': dataset, **settings})}"


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
    if options.delete is not None:
        client.delete_upload(options.delete)
        output.note(f"Deleted {options.delete}.")
    found = client.uploads()
    output.result([item.to_json() for item in found], uploads_table(found))
    return OK
