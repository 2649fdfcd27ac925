"""What is known of figures before one is drawn. Imports nothing: matplotlib costs the API a second of its start."""

from typing import Literal

FIGURES_VERSION = 2
"""Raised whenever equal arguments give another drawing: clients keep figures by it."""
FigureFormat = Literal["png", "svg"]
