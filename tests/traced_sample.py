"""Tracing the numbers of a sample's page to its ``qc.json``, its barcodes and its tables."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from emhniche.report import sample_states, words
from page_text import numbered, table_rows
from stated import N, close, percent
from traced_page import unclaimed
from traced_rows import faults

Claim = tuple[str, Callable[..., bool | None]]

DEFINED = (
    r"a neutrophil with 300 counts .* with 300 is not", r"\b0 is (?:the level|that) of other genes",
    r": 1 is most like two cells",
)  # fmt: skip
"""Words with a number that is no result."""


@dataclass
class Sample:
    """The files of one sample's page."""

    folder: Path
    sheet: dict
    settings: dict
    row: pd.Series

    def __post_init__(self) -> None:
        self.qc = json.loads((self.folder / "qc.json").read_text("utf-8"))
        self.barcodes = pd.read_parquet(self.folder / "qc.parquet")

    @classmethod
    def of_run(cls, root: Path, sample: str, sheet: dict, settings: dict) -> "Sample":
        rows = pd.read_csv(root / "samples.tsv", sep="\t", dtype={"sample": str})
        row = rows.set_index("sample").loc[sample]
        return cls(root / "samples" / sample, sheet, settings, row)


def untraced_sample(one: Sample, page: Path) -> list[str]:
    """Return what on a sample's page is not in its files."""
    figure, left = 0, []
    for block in numbered(page):
        figure += block.tag == "figcaption"
        left += sample_faults(one, block.text, figure)
    return left + untraced_tables(one, page)


def sample_faults(one: Sample, text: str, figure: int = 0) -> list[str]:
    """Return what is wrong with a text of a sample's page."""
    known = [str(value) for value in one.sheet.values() if re.search(r"[A-Za-z]", str(value))]
    known.append(str(one.row["verdict_reason"]))
    counted = (r"^Figure (\d+)\.", lambda _, n: int(n) == figure)
    return unclaimed(one, text, [*claims(), counted], known)


def untraced_tables(one: Sample, page: Path) -> list[str]:
    """Return what in the tables of a sample's page is not in its files."""
    wrong = []
    lineages = pd.DataFrame(one.qc["lineages"])
    lineages["share_lost"] = 1 - lineages["n_kept"] / lineages["n_in"]
    removed = pd.json_normalize(lineages.pop("removed").tolist()).reindex(lineages.index).fillna(0)
    states = pd.DataFrame(one.qc["states"]["lineages"])
    states = states.assign(share=states["cycling"] / states["n"].where(states["n"] > 0))
    states["n"] = states["n"].where(states["n"] > 0)
    ambient = pd.DataFrame(one.qc["ambient_genes"])
    if len(ambient):
        ambient["share"] = ambient["cells_detected"] / ambient["n_cells"]
    limits = pd.DataFrame(one.qc["thresholds"])
    wide = limits.pivot_table(index="lineage", columns="metric", values="value", sort=False)
    wide = wide.reindex(columns=["n_counts", "n_genes", "pct_mito"])
    wide = wide.assign(n=limits.groupby("lineage")["n"].first()).reset_index()
    files = {
        "loss": pd.concat([lineages, removed], axis=1),
        "state": states,
        "ambient": ambient,
        "threshold": wide,
    }
    for name, rows in table_rows(page).items():
        kind = next((key for key in files if name.lower().startswith(key)), None)
        if kind is None:
            wrong.append(f"{name}: a table that nothing traces")
        elif rows:
            wrong += faults(name, rows, files[kind])
    return wrong


def claims() -> Iterator[Claim]:
    """Yield the claims that a block of a sample's page may make."""
    yield from ((form, lambda _: True) for form in DEFINED)
    yield from _kept_claims()
    yield from _check_claims()
    yield from _ambient_claims()
    yield from _method_claims()


def _kept_claims() -> Iterator[Claim]:
    def kept(one: Sample, n: str, total: str, share: str, lost: str) -> bool:
        n_in, n_kept = one.qc["n_in"], one.qc["n_kept"]
        counts = close(n, n_kept) and close(total, n_in) and close(lost, n_in - n_kept)
        return counts and percent(share, n_kept / n_in)

    def reasons(one: Sample, listed: str) -> bool:
        told = re.findall(r"(?:^|, | and )([^()]+?) \(([\d,]+)\)", listed)
        own = {words.reason(key): n for key, n in one.qc["removed"].items()}
        return len(told) == len(own) and all(close(n, own[name]) for name, n in told)

    def worst(one: Sample, name: str, share: str, lost: str, total: str) -> bool:
        rows = [r for r in one.qc["lineages"] if r["n_in"] >= 10 and r["lineage"] != "unresolved"]
        row = next(r for r in rows if words.name(r["lineage"]) == name)
        gone = row["n_in"] - row["n_kept"]
        most = max(1 - r["n_kept"] / r["n_in"] for r in rows)
        return (
            close(lost, gone)
            and close(total, row["n_in"])
            and percent(share, gone / row["n_in"])
            and percent(share, most)
        )

    def nameless(one: Sample, total: str, lost: str, share: str) -> bool:
        row = next(r for r in one.qc["lineages"] if r["lineage"] == "unresolved")
        gone = row["n_in"] - row["n_kept"]
        return (
            close(total, row["n_in"]) and close(lost, gone) and percent(share, gone / row["n_in"])
        )

    def medians(one: Sample, counts: str, genes: str) -> bool:
        own = one.qc["medians"]
        return close(counts, own["n_counts"]) and close(genes, own["n_genes"])

    def came_in(one: Sample, n: str, middle: str, low: str, high: str, genes: str) -> bool:
        counts = one.barcodes["n_counts"].quantile([0.5, 0.1, 0.9])
        return (
            close(n, len(one.barcodes))
            and all(map(close, (middle, low, high), counts))
            and close(genes, one.barcodes["n_genes"].median())
        )

    yield (
        rf"({N}) of ({N}) barcodes? were kept as cells \((\S+ %)\); ({N}) were removed",
        kept,
    )
    yield r"Reasons for removal: (.*)\.$", reasons
    yield rf"Of the lineages, (.+) lost most: (\S+ %), ({N}) of ({N}) barcodes", worst
    yield rf"Of ({N}) barcodes? without a lineage ({N}) were removed \((\S+ %)\)", nameless
    yield rf"A kept cell holds ({N}) counts of ({N}) genes", medians
    yield (
        rf"({N}) barcodes? with ({N}) counts in the median \(a tenth holds fewer than ({N}), a "
        rf"tenth more than ({N})\) and ({N}) genes",
        came_in,
    )


def _check_claims() -> Iterator[Claim]:
    def sex(one: Sample, n: str, which: str) -> bool:
        return close(n, one.row["male_counts" if "Y" in which else "female_counts"])

    def twins(one: Sample, n: str) -> bool:
        return close(n, one.row["same_cells"])

    def complexity(one: Sample, text: str) -> bool:
        return close(text, one.qc["medians"]["complexity"])

    def share(one: Sample, text: str, kind: str) -> bool:
        key = {"ribosomal": "pct_ribo", "haemoglobin": "pct_hb"}[kind]
        return float(text) == float(f"{one.qc['medians'][key]:.2g}")

    def states(one: Sample, n: str, total: str, part: str, s: str, g2m: str) -> bool:
        phases = one.qc["states"]["phases"]
        cycling, cells = phases["S"] + phases["G2M"], sum(phases.values())
        return (
            all(map(close, (n, total, s, g2m), (cycling, cells, phases["S"], phases["G2M"])))
        ) and percent(part, cycling / cells)

    def expected(one: Sample, rate: str, usable: str, n: str) -> bool:
        own = one.qc["doublets"]
        return (
            percent(rate, own["expected_rate"])
            and close(usable, one.qc["n_kept"] + own["n_called"])
            and close(n, own["n_expected"])
        )

    def found(one: Sample, n: str, usable: str, part: str) -> bool:
        own = one.qc["doublets"]
        total = one.qc["n_kept"] + own["n_called"]
        return (
            close(n, own["n_called"])
            and close(usable, total)
            and percent(part, own["n_called"] / total)
        )

    def not_searched(one: Sample, why: str) -> bool:
        return why == words.sentence(one.qc["doublets"]["reason"])

    yield rf"({N}) counts of (X[Ii][Ss][Tt]|genes of the Y)", sex
    yield rf"({N}) cells? have the same counts in every gene", twins
    yield rf"complexity is ({N})(?=[;.])", complexity
    yield r"([\d.]+) % of (ribosomal|haemoglobin) genes", share
    yield (
        rf"({N}) of ({N}) cells? \((\S+ %)\) are in S \(({N})\) or G2/M \(({N})\)",
        states,
    )
    yield rf"^Expected .*?: (\S+ %) of ({N}) usable barcodes?, of which ({N}) hold", expected
    yield rf"({N}) barcodes? of ({N}) \((\S+ %)\) were called doublets", found
    yield r"^Not searched for: (.*)$", not_searched


def _ambient_claims() -> Iterator[Claim]:
    def soup(one: Sample, listed: str) -> bool:
        told = re.findall(r"(?:^|, | and )(\S+ %) of (.+?) counts", listed)
        shares = one.barcodes.dropna(subset=["ambient"]).groupby("lineage")["ambient"].median()
        own = {words.name(name): value for name, value in shares.items()}
        return len(told) == len(own) and all(percent(text, own[name]) for text, name in told)

    yield r"is estimated to make up (.+? counts)\. Its", soup
    yield rf"({N}) droplets without a cell", lambda one, n: close(n, one.qc["n_empty"])
    yield (
        rf"({N}) pairs? of gene and lineage",
        lambda one, n: close(n, len(one.qc["ambient_genes"])),
    )


def _method_claims() -> Iterator[Claim]:
    def ends(key: str) -> Callable[..., bool]:
        return lambda one, low, high: (
            float(low) == one.settings[key]["floor"] and float(high) == one.settings[key]["ceiling"]
        )

    yield (
        r"a limit lies (\S+) median absolute deviations",
        lambda one, n: float(n) == one.settings["n_mads"],
    )
    yield r"for counts between (\d+) and (\d+)", ends("min_counts")
    yield r"for genes between (\d+) and (\d+)", ends("min_genes")
    yield r"share between (\d+) % and (\d+) %", ends("max_pct_mito")
    yield (
        r"lineage with fewer than (\d+) barcodes",
        lambda one, n: int(n) == one.settings["min_lineage_cells"],
    )
    yield r"of fewer than (\d+) none is drawn", lambda _, n: int(n) == sample_states.FEWEST
