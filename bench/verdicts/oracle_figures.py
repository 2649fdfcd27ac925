"""What the oracle says of the fakes of one epoch, by name."""

FIGURES = ("missing", "quality", "spread", "copied", "finite")
"""`missing`: share of the data in modes that have less than a quarter of their share of the fakes; not a number where
too few fakes show anything. `quality`: share of fakes that show a mode, over the same share of reals. `spread`: mean
distance between two fakes over that between two reals. `copied`: share of fakes that are nearer to a training sample
than 95 % of other reals are. `finite`: share of fakes that are finite numbers."""
