"""Stands in for RAPIDS cuML 26.10, which nothing here can run: no GPU."""

__version__ = "26.10.00"
