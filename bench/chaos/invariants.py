"""What must hold after any faults, as plain SQL that both databases understand. Each query counts breaches.

Besides the service's tables they read those of the witness: `chaos_accepted` has every run that was accepted, with the
undisturbed run of the same spec, and for a run that crashes each time the attempts after which it has to fail.
"""

import json
from pathlib import Path
from typing import Any

from bench.chaos.witness import Witness

HEADER_BYTES = 8

LOST = """
SELECT count(*) FROM chaos_accepted c LEFT JOIN runs r ON r.id = c.run_id
WHERE r.id IS NULL
   OR (c.dies_after IS NULL AND r.status <> 'succeeded')
   OR (c.dies_after IS NOT NULL AND (r.status <> 'failed' OR c.dies_after <>
       (SELECT count(*) FROM attempts a WHERE a.run_id = r.id AND a.outcome NOT IN ('handed over', 'paused'))))
"""
"""Accepted runs that are not there, have not succeeded, or did not fail by their last attempt as they should."""

OVERLAPPING_ATTEMPTS = """
SELECT count(*) FROM attempts a JOIN attempts b ON b.run_id = a.run_id AND b.number > a.number
WHERE a.ended_at IS NULL OR b.started_at < a.ended_at OR b.token <= a.token
"""
"""Pairs of attempts of one run that held it at once by the database's clock, or whose tokens do not grow."""

WRITES_AFTER_A_CLAIM = """
SELECT count(*) FROM chaos_events e JOIN attempts a ON a.run_id = e.run_id AND a.number = e.attempt + 1
WHERE e.what = 'epoch' AND e.at > a.started_at
"""
"""Epochs written under a token after the claim that made the next."""

SUBMITTED_TWICE = """
SELECT count(*) FROM runs r
WHERE NOT EXISTS (SELECT 1 FROM chaos_accepted c WHERE c.run_id = r.id OR c.reference_id = r.id)
"""
"""Runs that no answer told of: a request that was sent again with its key made a second one."""

STALE_WRITES = """
SELECT count(*) FROM chaos_events e LEFT JOIN attempts a ON a.run_id = e.run_id AND a.number = e.attempt
WHERE e.what = 'epoch'
  AND (a.token IS NULL OR a.token <> e.newest OR e.attempt <> e.holder OR e.status <> 'running')
"""
"""Epochs whose writer did not have the run's newest token when they were written, or whose run was not running."""

WRITTEN_TWICE = """
SELECT coalesce(sum(n - 1), 0) FROM
  (SELECT count(*) AS n FROM chaos_events WHERE what = 'epoch' GROUP BY run_id, epoch) AS times
"""
"""Times that an epoch was written again, though every epoch has a checkpoint to go on from."""

TOO_MANY = """
SELECT count(*) FROM epochs e JOIN runs r ON r.id = e.run_id
WHERE e.epoch < 1 OR e.epoch > r.epochs_total
   OR (SELECT count(*) FROM epochs f WHERE f.run_id = e.run_id AND f.epoch = e.epoch) > 1
"""
"""Epochs outside of 1..N, or there twice."""

OVERLAPPING_STEPS = """
SELECT count(*) FROM series s JOIN series t ON t.run_id = s.run_id
WHERE t.first_step > s.first_step AND t.first_step < s.first_step + s.num_steps
"""
"""Pairs of blocks of steps that share steps."""

MISSING = """
WITH RECURSIVE numbers(n) AS (
  SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < (SELECT max(epochs_total) FROM runs)
)
SELECT count(*) FROM chaos_accepted c JOIN runs r ON r.id = c.run_id JOIN numbers ON n <= r.epochs_total
WHERE c.dies_after IS NULL AND (
  NOT EXISTS (SELECT 1 FROM epochs e WHERE e.run_id = r.id AND e.epoch = n AND e.num_steps = r.steps_per_epoch)
  OR NOT EXISTS (SELECT 1 FROM diagnoses d WHERE d.run_id = r.id AND d.epoch = n)
  OR NOT EXISTS (SELECT 1 FROM artifacts a WHERE a.run_id = r.id AND a.epoch = n AND a.kind = 'samples')
  OR NOT EXISTS (SELECT 1 FROM series s WHERE s.run_id = r.id AND s.first_step = (n - 1) * r.steps_per_epoch
                 AND s.num_steps = r.steps_per_epoch))
"""
"""Epochs of 1..N of runs that are to succeed, without their row, their steps, their diagnosis or their samples."""

NOT_IDENTICAL = """
SELECT count(*) FROM chaos_accepted c WHERE c.dies_after IS NULL AND (
  EXISTS (SELECT 1 FROM series s LEFT JOIN series t ON t.run_id = c.reference_id AND t.first_step = s.first_step
          WHERE s.run_id = c.run_id AND (t.block IS NULL OR t.block <> s.block))
  OR EXISTS (SELECT 1 FROM artifacts a LEFT JOIN artifacts b
             ON b.run_id = c.reference_id AND b.kind = a.kind AND b.epoch = a.epoch
             WHERE a.run_id = c.run_id AND (b.sha256 IS NULL OR b.sha256 <> a.sha256)))
"""
"""Runs that differ in a bit of a step or of a picture from the undisturbed run of their spec."""

INVARIANTS: dict[str, tuple[str, ...]] = {
    "lost": (LOST,),
    "executed_twice": (OVERLAPPING_ATTEMPTS, WRITES_AFTER_A_CLAIM, SUBMITTED_TWICE),
    "epochs_doubled": (WRITTEN_TWICE, TOO_MANY, OVERLAPPING_STEPS),
    "epochs_missing": (MISSING,),
    "stale_writes": (STALE_WRITES,),
    "not_identical": (NOT_IDENTICAL,),
}
"""What is counted, and by which queries together."""

LAST_CHECKPOINTS = """
SELECT c.run_id, e.checkpoint, c.reference_id, f.checkpoint FROM chaos_accepted c
JOIN runs r ON r.id = c.run_id
JOIN epochs e ON e.run_id = r.id AND e.epoch = r.epochs_total
JOIN epochs f ON f.run_id = c.reference_id AND f.epoch = r.epochs_total
WHERE c.dies_after IS NULL
"""
"""The last checkpoint of each run, and that of the undisturbed run of its spec."""

RECOVERIES = """
SELECT h.fault, h.kind, min(e.at) - h.at, h.leased_until - h.at FROM chaos_hits h JOIN chaos_events e
ON e.run_id = h.run_id AND e.at > h.at AND e.what <> 'queued'
   AND (h.ends_attempt = 0 OR e.attempt > h.attempt OR e.what NOT IN ('running', 'epoch'))
GROUP BY h.fault, h.kind, h.run_id, h.at, h.leased_until ORDER BY h.fault, h.run_id
"""
"""Of each run that a fault hit: seconds to its next claim, epoch or end (under a newer attempt, where the fault ends
the one that it hit), and seconds that its lease still lasted (0 where nobody had to wait for that)."""


def count_breaches(witness: Witness) -> dict[str, int]:
    """How often each promise was broken."""
    return {name: sum(int(witness.rows(query)[0][0]) for query in queries) for name, queries in INVARIANTS.items()}


def count_other_weights(witness: Witness, checkpoints: Path) -> int:
    """Runs whose last weights and optimizers differ in a bit from those of the undisturbed run of their spec."""

    def differ(run: str, name: str, reference: str, reference_name: str) -> bool:
        return read_state(checkpoints / run / name) != read_state(checkpoints / reference / reference_name)

    return sum(differ(*row) for row in witness.rows(LAST_CHECKPOINTS))


def read_state(path: Path) -> tuple[Any, bytes]:
    """What a file in the format of safetensors says of its tensors, and their bytes.

    The order of its header is another in each file, so that files with the same state are not the same.
    """
    content = path.read_bytes()
    end = HEADER_BYTES + int.from_bytes(content[:HEADER_BYTES], "little")
    return json.loads(content[HEADER_BYTES:end]), content[end:]
