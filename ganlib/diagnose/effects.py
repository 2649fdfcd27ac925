"""What remedies were measured to do in the suite: (finding, remedy) to a sentence. Written by `make bench-verdicts`."""

EFFECTS: dict[tuple[str, str], str] = {}
