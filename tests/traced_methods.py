"""Which numbers of the methods are settings, versions or constants, and are they this run's?"""

import re
from collections.abc import Callable, Iterator

from emhniche.celltypist import MIN_PROBABILITY
from emhniche.response import N_RANDOM
from stated import Tables, close

Claim = tuple[str, Callable[..., bool | None]]

VERSION = r"\d+(?:\.\d+)+\w*"

OWN_NAMES = {"pytorch": "torch"}
"""Names of the text whose package has another one."""


def method_claims() -> Iterator[Claim]:
    """Yield the claims that the methods and the provenance make."""

    def version(run: Tables, name: str, number: str) -> bool | None:
        packages = run.provenance["packages"] | {
            "python": run.provenance["python"],
            "emh-niche": run.provenance["pipeline"]["version"],
        }
        key = OWN_NAMES.get(name.lower(), name.lower())
        return number == packages[key] if key in packages else None

    def python(run: Tables, number: str) -> bool | None:
        return number == run.provenance["python"] or None

    def commit(run: Tables, number: str) -> bool:
        return number == run.provenance["pipeline"]["git_commit"]

    yield rf"\b([A-Za-z][\w-]*) ({VERSION})(?!\w|\.\d)", version
    yield rf"^({VERSION})$", python
    yield r"\bcommit ([0-9a-f]+)", commit
    yield from (_setting(form, *keys) for form, *keys in SETTINGS)
    yield from _latent_claims()
    yield r"from a probability of ([\d.]+),", lambda _, n: float(n) == MIN_PROBABILITY
    yield (
        r"that of ([\d,]+) random sets",
        lambda _, n: close(n, N_RANDOM),
    )


SETTINGS = (
    (r"every random step had the seed (\d+)", "seed"),
    (r"more than (\S+) median absolute deviations", "qc.n_mads"),
    (
        r"between (\d+) and (\d+) counts, (\d+) and (\d+) genes, and (\d+) % and (\d+) %",
        *(f"qc.{one}.{end}" for one in ("min_counts", "min_genes", "max_pct_mito")
          for end in ("floor", "ceiling")),
    ),
    (r"CellBender[^(]*\((\d+) epochs\)", "ambient.cellbender.epochs"),
    (r"\b(\d+) latent dimensions", "integrate.n_latent"),
    (r"\b(\d+) principal components", "integrate.n_latent"),
    (r"\(peak (\S+)\)", "integrate.scvi.peak_rate"),
    (r"; theta (\S+)\)", "integrate.harmony.theta"),
    (r"published labels for (\d+) passes", "integrate.scanvi.label_epochs"),
    (r"\b(\d+) neighbours a cell", "cluster.n_neighbors"),
    (r"whose clusters (\d+) subsamples", "cluster.n_subsamples"),
    (r"over at most ([\d,]+) ranks", "score.max_rank"),
    (r"against (\d+) random gene sets", "score.n_random"),
    (r"donors with fewer than (\d+) of its cells", "niche.min_cells"),
    (r"each arm has at least (\d+) known donors", "niche.min_units"),
    (r"only for genes with at least (\d+) counts", "niche.min_counts"),
    (
        r"at least (\d+) donors of (\d+) cells in each arm, at a false discovery rate of ([\d.]+),",
        *("myeloid.min_donors", "myeloid.min_cells", "myeloid.q"),
    ),
)  # fmt: skip
"""Words of the methods -> the settings that their numbers are."""


def _setting(form: str, *keys: str) -> Claim:
    def holds(run: Tables, *numbers: str) -> bool:
        return all(
            float(number.replace(",", "")) == float(_value(run.config, key))
            for number, key in zip(numbers, keys, strict=True)
        )

    return form, holds


def _value(config: object, key: str) -> object:
    for part in key.split("."):
        config = config[part]
    return config


def _latent_claims() -> Iterator[Claim]:
    def passes(run: Tables, n: str) -> bool:
        primary = run.config["integrate"]["primary"]
        return close(n, len(run.read(f"integration/{primary}/history.tsv")))

    def resolutions(run: Tables, text: str) -> bool:
        told = [float(one) for one in re.split(r", ", text)]
        return told == [float(one) for one in run.config["cluster"]["resolutions"]]

    yield r"in (\d+) pass(?:es)? over the cells", passes
    yield r"at that resolution \(of ([\d., ]+)\)", resolutions
    yield r"\bat resolution ([\d.]+\d|\d+)(?=; UMAP)", resolutions
