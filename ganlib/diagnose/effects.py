"""What remedies were measured to do in the suite: (finding, remedy) to a sentence, from `bench/results/cures.json`.

None is measured yet.
"""

EFFECTS: dict[tuple[str, str], str] = {}
