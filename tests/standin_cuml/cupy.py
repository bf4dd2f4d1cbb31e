"""Stands in for CuPy on a machine with one device."""

from types import SimpleNamespace

cuda = SimpleNamespace(
    runtime=SimpleNamespace(
        getDeviceCount=lambda: 1, getDeviceProperties=lambda number: {"name": b"Made-up GPU"}
    )
)
