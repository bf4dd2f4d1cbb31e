"""What does a job run on: which system, which Python, inside which image?"""

import platform
from pathlib import Path

MARKER = Path("/etc/emh-niche-image")
"""Written into every image when it is built: purpose, and what it was built from."""

OS_RELEASE = Path("/etc/os-release")


def surroundings(marker: Path = MARKER, os_release: Path = OS_RELEASE) -> dict[str, str | None]:
    """Return what the process runs on.

    Parameters
    ----------
    marker
        File that only images have.
    os_release
        The system's own description (freedesktop.org, ``os-release``).

    Returns
    -------
    dict
        ``system`` (name of the operating system: the image's inside one), ``python`` (version) and
        ``image`` (purpose and key of the image; None outside of one).
    """
    system = platform.system()
    if os_release.is_file():
        for line in os_release.read_text(encoding="utf-8").splitlines():
            if line.startswith("PRETTY_NAME="):
                system = line.partition("=")[2].strip("\"'")
    image = marker.read_text(encoding="utf-8").strip() if marker.is_file() else None
    return {"system": system, "python": platform.python_version(), "image": image}
