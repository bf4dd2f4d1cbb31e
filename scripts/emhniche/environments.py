"""Which software does each purpose need, and in which versions?

``envs/<purpose>/packages.txt`` names the packages; ``uv.lock`` has their versions. From the two,
``python -m emhniche.environments`` (or ``make docs``) writes ``envs/<purpose>/environment.yaml``
for conda. The images are built from the same two files by ``envs/install.sh`` and
``envs/build.sh``. What cannot have those versions has its own in ``requirements.txt``.
"""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PURPOSES = ("core", "scvi-cpu", "scvi-gpu", "report")

APART = ("rapids",)
"""Purposes whose packages forbid versions of ``uv.lock``."""

_PYTHON = "3.13"
_CONDA_NAMES = {"igraph": "python-igraph", "matplotlib": "matplotlib-base"}
"""Conda's names, where they differ from those of the Python Package Index."""

_TORCH = {"scvi-cpu": "pytorch-cpu", "scvi-gpu": "pytorch-gpu"}
"""Conda's name of torch, which says whether CUDA comes with it."""

_ONLY_PYPI = ("cellbender", "illico", "pyucell")
"""Packages that no conda channel is known to have in this version."""


def render(purpose: str, root: str | Path = ROOT) -> str:
    """Return the text of a conda environment.

    Parameters
    ----------
    purpose
        One of :data:`PURPOSES` or :data:`APART`.
    root
        Folder of ``uv.lock`` and ``envs``.

    Returns
    -------
    str
        YAML with the version of every package that ``uv.lock``, or ``requirements.txt``, has.
    """
    versions = _versions(purpose, Path(root))
    conda, pypi = [], []
    for name in packages(purpose, root):
        if name in _ONLY_PYPI or purpose in APART:
            pypi.append(f"      - {name}=={versions[name]}")
        else:
            known = _TORCH.get(purpose) if name == "torch" else _CONDA_NAMES.get(name)
            conda.append(f"  - {known or name}={versions[name]}")
    source = "requirements.txt" if purpose in APART else "packages.txt and uv.lock"
    lines = [
        f"# Written by `make docs` from {source}: edit those, not this file.",
        "channels:",
        "  - conda-forge",
        "  - bioconda",
        "  - nodefaults",
        "dependencies:",
        f"  - python={_PYTHON}",
        *conda,
    ]
    if pypi:
        lines += ["  - pip", "  - pip:", *pypi]
    return "\n".join(lines) + "\n"


def packages(purpose: str, root: str | Path = ROOT) -> list[str]:
    """Return the packages of a purpose, by their names on the Python Package Index."""
    if purpose in APART:
        return list(_versions(purpose, Path(root)))
    text = (Path(root) / "envs" / purpose / "packages.txt").read_text(encoding="utf-8")
    return text.split()


def _versions(purpose: str, root: Path) -> dict[str, str]:
    """Return the version of each package: those of the purpose itself, or all of ``uv.lock``."""
    if purpose in APART:
        text = (root / "envs" / purpose / "requirements.txt").read_text(encoding="utf-8")
        return dict(line.split("==") for line in text.split("\n") if line and line[0] != "#")
    lock = tomllib.loads((root / "uv.lock").read_text(encoding="utf-8"))
    return {package["name"]: package["version"] for package in lock["package"]}


def main() -> None:
    """Write the conda environment of every purpose."""
    for purpose in (*PURPOSES, *APART):
        path = ROOT / "envs" / purpose / "environment.yaml"
        path.write_text(render(purpose), encoding="utf-8")


if __name__ == "__main__":
    main()
