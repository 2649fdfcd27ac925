"""Sets of samples that runs train on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ganclinic import views
from ganclinic.connection import Connection
from ganlib.wire.paths import UPLOADS, upload_path

if TYPE_CHECKING:  # models and specs are imported when they are used: most of them cost a command its start
    from ganclinic.views import UploadView


class UploadVerbs(Connection):
    """Sets of samples that runs train on."""

    def upload(
        self,
        file: str | Path,
        *,
        name: str | None = None,
        image_size: int | None = None,
        pairs: bool = False,
        convert: Literal["grey", "rgb"] | None = None,
    ) -> UploadView:
        """Stores a set of samples for runs to train on: .npy, .npz, or .zip, .tar or .tar.gz of pictures.

        With an `image_size`, pictures may have different sizes: the centre square of each is resized to it. Its name
        is by default that of the file. The same set is stored once. Pictures are stored as a viewer shows them, what is
        transparent on white; `convert` makes grey and coloured ones alike.

        Of `pairs` an archive holds two folders whose pictures have the same names, as A/1.png and B/1.png, or an .npz
        two arrays; `upload-pairs` is the data set for them.

        Raises:
            InvalidInput: the file cannot be read.
            InvalidSpec: with what is wrong: `file`, `name` or `image_size`.
        """
        shown = "".join(letter for letter in Path(file).name if letter.isprintable())
        fields = {"name": name or shown[:200] or "upload"}
        if image_size is not None:
            fields["image_size"] = str(image_size)
        if pairs:
            fields["pairs"] = "true"
        if convert is not None:
            fields["convert"] = convert
        return self._answers.of(views.UploadView, self._transport.upload(UPLOADS, {"file": Path(file)}, fields=fields))

    def uploads(self) -> list[UploadView]:
        """All uploaded sets, newest first."""
        return self._answers.views(views.UploadView, UPLOADS)

    def get_upload(self, upload_id: str) -> UploadView:
        """An uploaded set."""
        return self._answers.view(views.UploadView, upload_path(upload_id))

    def delete_upload(self, upload_id: str) -> None:
        """Deletes an uploaded set.

        Raises:
            Conflict: a run that is queued or running trains on it.
        """
        self._transport.delete(upload_path(upload_id))
