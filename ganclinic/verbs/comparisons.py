"""Comparisons of two uploaded sets of samples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ganclinic import views
from ganclinic.answers import new_key
from ganclinic.connection import Connection
from ganlib.wire.paths import COMPARISONS, comparison_path

if TYPE_CHECKING:  # models and specs are imported when they are used: most of them cost a command its start
    from ganclinic.views import ComparisonView


class ComparisonVerbs(Connection):
    """Comparisons of two uploaded sets of samples."""

    def compare(self, real: str | Path, fake: str | Path, /, **options: Any) -> ComparisonView:
        """Uploads two sets of samples and queues their comparison, e.g. with `space="efficientnet-lite0"`.

        Files are .npy, .npz, or .zip, .tar or .tar.gz of pictures.

        Raises:
            InvalidInput: a file cannot be read.
            InvalidSpec: with what is wrong: `real`, `fake` or fields of `options`.
        """
        answer = self._transport.upload(
            COMPARISONS,
            {"real": Path(real), "fake": Path(fake)},
            fields={"options": json.dumps(options)},
            key=new_key(),
        )
        return self._answers.of(views.ComparisonView, answer)

    def list_comparisons(self, *, status: str | None = None) -> Iterator[ComparisonView]:
        """Comparisons, newest first, without what they found; further pages are fetched as they are reached."""
        return self._answers.pages(views.ComparisonView, COMPARISONS, {"status": status})

    def get_comparison(self, comparison_id: str) -> ComparisonView:
        """A comparison with what it found."""
        return self._answers.view(views.ComparisonView, comparison_path(comparison_id))

    def wait_for_comparison(self, comparison_id: str, *, timeout_s: float | None = None) -> ComparisonView:
        """The comparison once it is over.

        Raises:
            WaitTimeout: `timeout_s` passed; the comparison goes on.
        """
        return self._polling.until_final(lambda: self.get_comparison(comparison_id), comparison_id, timeout_s)

    def comparison_figure(self, comparison_id: str, *, kind: Literal["png", "svg"] = "png") -> bytes:
        """The NDB bars of a comparison."""
        return self._transport.get(f"{comparison_path(comparison_id)}/figures/ndb.{kind}").content

    def cancel_comparison(self, comparison_id: str) -> ComparisonView:
        """Asks for the end of a comparison; one that is over stays as it is."""
        return self._answers.post(views.ComparisonView, f"{comparison_path(comparison_id)}/cancel")

    def delete_comparison(self, comparison_id: str) -> None:
        """Deletes a comparison that is over, with its samples and what it found.

        Raises:
            Conflict: it is not over, or a quota of device hours counts it.
        """
        self._transport.delete(comparison_path(comparison_id))
