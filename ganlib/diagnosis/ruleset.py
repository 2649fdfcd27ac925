"""Versions of the rules, from old to new."""

import re


def ruleset_order(ruleset: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts the names of rulesets by age: numbers in them count as numbers, so that 10 is newer than 9."""
    parts: list[str] = re.findall("[0-9]+|[^0-9]+", ruleset)
    return tuple((1, int(part), "") if part[0] in "0123456789" else (0, 0, part) for part in parts)
