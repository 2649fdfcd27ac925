"""`ganclinic upload` and `ganclinic uploads`: sets of samples that runs train on."""

import argparse

from ganclinic.cli.output import Output
from ganclinic.cli.tables import uploads_table
from ganclinic.client import Client

OK = 0


def upload(client: Client, output: Output, options: argparse.Namespace) -> int:
    """`ganclinic upload`."""
    made = client.upload(options.path, name=options.name, image_size=options.image_size)
    output.result(made.model_dump(mode="json"), made.id)
    classes = f" in {len(made.class_names)} classes" if made.class_names else ""
    output.note(
        f"{made.count} {made.kind} of the shape {list(made.shape)}{classes}. Train on them: "
        f'ganclinic run PRESET|FILE --set \'dataset={{"name": "upload", "upload": "{made.id}"}}\''
    )
    return OK


def uploads(client: Client, output: Output, options: argparse.Namespace) -> int:
    """`ganclinic uploads`."""
    if options.delete is not None:
        client.delete_upload(options.delete)
        output.note(f"Deleted {options.delete}.")
    found = client.uploads()
    output.result([item.model_dump(mode="json") for item in found], uploads_table(found))
    return OK
