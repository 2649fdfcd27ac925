"""The diagnosis of a watched run on this machine, without any service. Fakes are compared where torch is installed."""

import json
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import numpy as np

from ganclinic.foreign import EVALUATOR, NEEDED
from ganclinic.watching.spool import Spool
from ganlib.diagnosis.verdict import Diagnosis
from ganlib.foreign_logs.table import Floats
from ganlib.foreign_logs.watched import Sent, judge
from ganlib.records import EpochEvaluation
from ganlib.step_blocks import ABSENT, decode


class LocalJudge:
    """Judges each epoch of a spool, and writes what it finds to `diagnoses.jsonl` in its folder.

    The samples of an epoch are deleted once it is judged, or left out.
    """

    def __init__(self, spool: Spool) -> None:
        self.diagnosis: Diagnosis | None = None
        self.notes: list[str] = []
        self._spool = spool
        self._place = self._count = 0
        self._blocks: list[tuple[tuple[str, ...], Floats]] = []
        self._ends: list[int] = []
        self._evaluations: list[EpochEvaluation] = []

    def judge(self) -> None:
        """Judges the last epoch that is there, if it was not judged before; a slow machine leaves others out."""
        before = len(self._ends)
        for record in self._spool.records(self._place):
            self._place = record.end
            if record.kind == "steps":
                names, values = decode(record.content)
                self._blocks.append((names, values))
                self._count += len(values)
            elif record.kind == "epoch":
                self._ends.append(self._count)
        last = len(self._ends)
        if last > before:
            try:
                self._judge_epoch()
            finally:
                for epoch in range(before + 1, last + 1):
                    self._spool.samples_path(epoch).unlink(missing_ok=True)

    def _judge_epoch(self) -> None:
        self._evaluations += self._evaluated(len(self._ends))
        order = self._spool.order
        sent = Sent(
            columns=self._columns(), ends=tuple(self._ends), objective=order.objective, epochs_total=order.epochs
        )
        self.diagnosis = judge(sent, self._evaluations, self.diagnosis).diagnosis
        with (self._spool.folder / "diagnoses.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(self.diagnosis.to_json()) + "\n")

    def _columns(self) -> dict[str, Floats]:
        columns: dict[str, Floats] = {}
        at = 0
        for names, values in self._blocks:
            for name, column in zip(names, values.T, strict=True):
                whole = columns.setdefault(name, np.full(self._count, ABSENT))
                whole[at : at + len(column)] = column
            at += len(values)
        return columns

    def _evaluated(self, epoch: int) -> list[EpochEvaluation]:
        real, fakes = self._spool.real_path, self._spool.samples_path(epoch)
        if not real.is_file() or not fakes.is_file() or any(find_spec(module) is None for module in NEEDED):
            return []
        request: dict[str, Any] = {
            "real": str(real),
            "fakes": [[epoch, str(fakes)]],
            "last_epoch": epoch,
            "epochs_known": True,
            "tile": None,
        }
        done = subprocess.run(
            [sys.executable, "-P", "-m", EVALUATOR],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            check=False,
        )
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            answer = {"error": (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]}
        if "error" in answer:
            self.notes.append(f"the samples of epoch {epoch} were not compared: {answer['error']}")
            return []
        return [EpochEvaluation.from_json(found) for found in answer["evaluations"]]
