"""The command line `ganclinic`."""

from ganclinic.cli.entry import main

__all__ = ["main"]
