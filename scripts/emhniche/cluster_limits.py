"""When does a cluster count as found again? For the stage, and for what the report says of it."""

FOUND = 0.6
"""Jaccard index from which a cluster counts as found again; Hennig (2007, doi
10.1016/j.csda.2006.11.025) reads 0.6 to 0.75 as a pattern and below 0.5 as dissolved."""

OFTEN = 0.9
"""Share of the subsamples in which a stable cluster is found again."""
