"""Tracing the numbers of an index that stand in captions, methods, limits and other paragraphs.

A claim is the form of some words around numbers and what asks the tables for them. Every number of
a block must be in the words of a claim that holds, or in a name of the run; what no claim speaks
for is returned as untraced.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py

from emhniche import cluster_limits, emh_axes
from emhniche.axes import Q_LEVEL
from emhniche.celltypist import MIN_PROBABILITY
from emhniche.io import read_table
from emhniche.marker_levels import N_SHOWN
from emhniche.report import (
    cellxgene,
    index_pictures,
    index_tables,
    marker_figure,
    niche_figures,
    supply_figures,
    words,
)
from page_text import Block, blocks, numbered, table_rows
from stated import N, Tables, close, items, names, percent
from traced import asked, expected_glance, rules
from traced_methods import method_claims

FREE = re.compile(r"(?<!\w)\d+(?:,\d{3})*(?:\.\d+)*")

DEFINED = (
    r"1 is by chance, 0 is apart",
    r"one side of 0\b",
    r"\b95 % interval",
    r"\b95 %,",
    r"\(0 to 1\)",
    r"Of random genes 5 % of cells",
    r"\b0 is the mean of the reference donors",
    r"\b1 twice their odds",
    r"95th percentile",
    r"\b3-prime counts",
    r"interval (?:that )?holds? 0\b",
    r"does not hold 0\b",
    r"interval without 0\b",
)
"""Words with a number that is no result: what a scale or an interval means."""

Claim = tuple[str, Callable[..., bool | None]]


class Tracer:
    """Asks the tables of a run for the numbers of its index."""

    def __init__(self, run: Tables, page: Path) -> None:
        self.run = run
        self.shown = table_rows(page)
        self.sentences = list(rules(run))
        self.claims = [*claims_of(run)]
        self.known = names_of(run)
        self.glance = expected_glance(run)
        self.blocks = numbered(page)
        self.texts = blocks(page)
        figures = [block for block in self.blocks if block.tag == "figcaption"]
        self.figure = {id(block): number for number, block in enumerate(figures, start=1)}

    def untraced(self) -> list[str]:
        """Return the blocks with a number that nothing traces, or that is another."""
        wrong = [one for block in self.blocks for one in self.faults(block, block.text)]
        told = [block.text for block in self.texts if "atlas lacks" in block.text]
        said = re.findall(r"\w+_\w+", " ".join(told))
        return wrong + ([] if said == lacking(self.run) else [f"fields of the atlas: {told}"])

    def faults(self, block: Block, text: str) -> list[str]:
        """Return what is wrong with a text that stands in the place of a block's."""
        if text in self.glance or self._whole(block, text):
            return []
        if block.tag in ("summary", "label"):
            rows = len(self.shown.get(block.about, []))
            own = (r"(?:^Search |\()([\d,]+) rows?", lambda _, n: close(n, rows))
        else:
            number = self.figure.get(id(block), 0)
            own = (r"^Figure (\d+)\.", lambda _, n: int(n) == number)
        return unclaimed(self.run, text, [*self.claims, own], self.known)

    def _whole(self, block: Block, text: str) -> bool:
        """Tell whether a text is a sentence that a rule for sentences traces."""
        if block.section in ("methods", "asked") or block.tag not in ("p", "li"):
            return False
        for form, ask in self.sentences:
            found = re.fullmatch(form, text)
            if found:
                return bool(asked(ask, self.run, found))
        return False


def lacking(run: Tables) -> list[str]:
    """Return what CELLxGENE wants and the sheet of a run does not tell, as its atlas must say."""
    known = {"tissue": cellxgene.TISSUES, "chemistry": cellxgene.ASSAYS}
    terms = {"tissue": "tissue_ontology_term_id", "chemistry": "assay_ontology_term_id"}
    used = run.samples.loc[[*run.used]]
    wrong = [
        term for c, term in terms.items() if term not in used and not used[c].isin(known[c]).all()
    ]
    wrong += [
        term for term in cellxgene.FROM_SHEET_ONLY if term not in used or "" in set(used[term])
    ]
    if (run.root / "atlas.h5ad").exists():
        with h5py.File(run.root / "atlas.h5ad") as file:
            lines = file["uns/cellxgene_missing"].asstr()[:]
        assert [line.split()[1].rstrip(":") for line in lines] == wrong
    return wrong


def unclaimed(run: object, text: str, claims: list[Claim], known: list[str]) -> list[str]:
    """Return what is wrong with a text: claims that do not hold, and numbers without one."""
    spans, wrong = [], []
    for form, ask in claims:
        for found in re.finditer(form, text):
            holds = asked(ask, run, found)
            if holds:
                groups = range(1, len(found.groups()) + 1)
                spans += [found.span(group) for group in groups] or [found.span()]
            elif holds is not None:
                wrong.append(f"not what the tables say ({found[0]}): {text}")
    for name in known:
        spans += [found.span() for found in re.finditer(re.escape(name), text)]
    for found in FREE.finditer(text):
        if not any(start <= found.start() and found.end() <= end for start, end in spans):
            wrong.append(f"no rule traces {found[0]}: {text}")
    return wrong


def names_of(run: Tables) -> list[str]:
    """Return the names of the run that hold a number, and the text of its registry."""
    found: set[str] = set()
    for column in ("chemistry", "dataset", "condition", "tissue", "donor", "study"):
        if column in run.samples:
            found |= set(run.samples[column].astype(str))
    found |= set(run.samples.index.astype(str)) | set(run.titles.values())
    if len(run.registry):
        found |= set(run.registry["citation"].dropna().astype(str))
    found |= set(run.read("niche/production.tsv")["axis"].astype(str))
    lineages = read_table(run.config["resources"]["lineages"])
    found |= set(lineages["meaning"].dropna()) if "meaning" in lineages else set()
    for path, columns in (
        ("niche/contrasts.tsv", ("cell_type", "gene")),
        ("niche/responses.tsv", ("set",)),
        ("niche/scores.tsv", ("set",)),
        ("niche/production.tsv", ("cell_type", "gene")),
    ):
        table = run.read(path)
        found |= {name for c in columns for name in names(table[c].dropna().astype(str))}
    # a name without a letter could hide a number
    return [name for name in found if FREE.search(name) and re.search(r"[A-Za-z]", name)]


def claims_of(run: Tables) -> Iterator[Claim]:
    """Yield the claims that a block of the index may make."""
    yield from ((form, lambda _: True) for form in DEFINED)
    yield from _head_claims()
    yield from _cell_claims()
    yield from _caption_claims()
    yield from _count_claims()
    yield from _limit_claims()
    yield from method_claims()


def _head_claims() -> Iterator[Claim]:
    def panel(run: Tables, genes: str, axes: str) -> bool:
        table = run.read("niche/production.tsv").drop_duplicates("gene")
        return close(genes, len(table)) and close(axes, table["axis"].nunique())

    def dataset(run: Tables, name: str, n: str, cells: str) -> bool:
        mine = run.samples[run.samples["dataset"] == name]
        held = (run.cells["dataset"].astype(str) == name).sum()
        return close(n, len(mine)) and close(cells, held)

    def inputs(run: Tables, text: str) -> bool:
        return text == str(run.config["seed"])

    yield r"\b([\d,]+) genes? of ([\d,]+) ax[ei]s: ", panel
    yield r"^(.+?): .*; ([\d,]+) samples?, ([\d,]+) kept cells?", dataset
    yield r"^(\d+)$", inputs


def _cell_claims() -> Iterator[Claim]:
    def verdict(run: Tables, text: str) -> bool | None:
        table = run.read("integration/verdict.tsv")
        own = table[table["method"] == run.config["integrate"]["primary"]]["sentence"]
        said = {re.sub(r"\w+_\w+", lambda found: words.name(found[0]), one) for one in own}
        return True if text in said else None

    def chosen(run: Tables, resolution: str, stable: str, n: str, often: str, found: str) -> bool:
        table = run.read("cluster/resolutions.tsv")
        row = table[table["chosen"]].iloc[0]
        return (
            float(resolution) == row["resolution"]
            and close(stable, row["n_stable"])
            and close(n, row["n_clusters"])
            and percent(often, cluster_limits.OFTEN)
            and float(found) == cluster_limits.FOUND
        )

    def joined(run: Tables, parts: str) -> bool:
        table = run.read("cluster/found_again.tsv")
        return close(parts, table.loc[table["chosen"], "n_joined"].sum())

    def zoom(run: Tables, cells: str, n: str, resolution: str, share: str) -> bool:
        for folder in (run.root / "cluster/zoom").iterdir():
            table = run.read(f"cluster/zoom/{folder.name}/resolutions.tsv")
            row = table[table["chosen"]].iloc[0]
            total = len(run.read(f"cluster/zoom/{folder.name}/clusters.parquet"))
            if (
                close(cells, total)
                and close(n, row["n_clusters"])
                and float(resolution) == row["resolution"]
                and percent(share, row["found_again"])
            ):
                return True
        return False

    def dots(_: Tables, n: str, least: str) -> bool:
        return int(n) == N_SHOWN and float(least) == marker_figure.MIN_SHOWN

    def markers(run: Tables, n: str) -> bool:
        listed = run.read("annotate/markers.tsv").groupby("cluster").size().clip(upper=int(n))
        rows = table_rows(run.root / "report/index.html")["markers-table"]
        return int(n) == index_tables.MARKER_ROWS and listed.sum() == len(rows)

    yield r"^(Replicate .*|No batch .*|Tissues? .*|Types? .*|.* batch .*)$", verdict
    yield (
        r"Resolution (\S+) \(orange\) has the highest score and was taken: (\d+) of its (\d+) "
        r"clusters are found again in (\d+ %) of .*\(Jaccard index of (\S+) or more\)",
        chosen,
    )
    yield r"Those that were taken are joined from (\d+) of Leiden's", joined
    yield (
        rf"({N}) cells? in ({N}) clusters? at resolution (\S+), of which .* again in (\S+ %)",
        zoom,
    )
    yield r"The first (\d+) markers of each cluster\.", markers
    yield (
        r"The first (\d+) markers of each cluster, in every cluster\. .* \(none below (\S+) %\)",
        dots,
    )
    yield from _label_claims()


def _label_claims() -> Iterator[Claim]:
    def lent(run: Tables, n: str, total: str, left: str) -> bool:
        cells = run.read("annotate/transferred.parquet")
        known = cells["in_reference"].astype(bool).sum()
        return close(n, known) and close(total, len(cells)) and close(left, len(cells) - known)

    def agree(run: Tables, n: str, total: str, share: str) -> bool:
        cells = run.read("annotate/transferred.parquet")
        known = cells[cells["in_reference"].astype(bool)]
        same = known["agrees"].fillna(False).astype(bool).sum()
        return close(n, same) and close(total, len(known)) and percent(share, same / len(known))

    def apart(run: Tables, label: str, share: str, usual: str, other: str) -> bool:
        table = run.read("annotate/transferred.tsv").set_index("label")
        row = table.loc[label]
        named = words.name(row["usual_lineage"]), words.name(row["other_lineage"])
        return percent(share, row["agree"]) and named == (usual, other)

    def model(run: Tables, n: str, total: str, share: str) -> bool:
        cells = run.read("annotate/celltypist.parquet")
        known = (cells["label"] != "unknown").sum()
        return close(n, known) and close(total, len(cells)) and percent(share, known / len(cells))

    def cluster(run: Tables, number: str, name: str, label: str) -> bool:
        table = run.read("annotate/celltypist.tsv")
        row = table[table["cluster"].astype(str) == number].iloc[0]
        return (words.name(row["cell_type"]), row["label"], row["agree"] < 0.5) == (
            *(name, label),
            True,
        )

    yield rf"went to ({N}) of ({N}) other cells?; ({N}) lie too far", lent
    yield rf"({N}) of ({N}) \((\S+ %)\) have the lineage", agree
    yield r"(?:of: |, | and )([^;]+?) \((\S+ %) ([^;]+); of the others most are (.+?)\)", apart
    yield rf"gives ({N}) of ({N}) cells? \((\S+ %)\) a label", model
    yield r"(?:cluster |, | and )(\d+) \((.+?); the model says (.+?) most often\)", cluster
    yield (
        r"no class has a probability of (\S+)\.",
        lambda _, p: float(p) == MIN_PROBABILITY,
    )


def _caption_claims() -> Iterator[Claim]:
    def at_most(_: Tables, n: str) -> bool:
        modules = (niche_figures, supply_figures, index_pictures)
        limits = {v for m in modules for k, v in vars(m).items() if k.startswith("MAX_")}
        return int(n) in limits

    def calm(run: Tables, title: str, n: str, level: str) -> bool:
        table = run.of("niche/supply.tsv", title).query("level == 'lineage' & status == 'tested'")
        return close(n, len(table)) and not (table["q"] <= float(level)).any()

    def no_order(run: Tables, level: str) -> bool:
        least = run.read("niche/emh_axes.tsv")["min_attainable_p"]
        return float(level) == emh_axes.ALPHA and not (least <= float(level)).any()

    yield r"q is above ([\d.]+)(?=[ ,.)])", lambda _, q: float(q.rstrip(".")) == Q_LEVEL
    yield r"q ≤ ([\d.]+)(?=[ ,.)])", lambda _, q: float(q.rstrip(".")) == Q_LEVEL
    yield r"at most (\d+)\b(?!,\d| ranks)", at_most
    yield r"the (\d+) smallest p-values", at_most
    yield r"^Figure \d+\. (.+?): what lineages .* None of ([\d,]+) differs at q ≤ ([\d.]+)\.$", calm
    yield r"no order gives p ≤ ([\d.]+);", no_order


def _count_claims() -> Iterator[Claim]:
    """Yield the claims of captions that say how many rows of a file are shown."""

    def sized(run: Tables, n: str, total: str, rest: str) -> bool:
        table = run.read("niche/contrasts.tsv").query("level == 'cell_type'")
        known = table["effect"].notna().sum()
        return (
            close(total, known)
            and close(rest, len(table) - known)
            and close(n, on_page(run, "contrasts-table"))
        )

    def supplies(run: Tables, n: str, total: str) -> bool:
        table = run.read("niche/supply.tsv")
        tested = (table["status"] == "tested") & (table["level"] != "cell_type")
        return close(total, tested.sum()) and close(n, on_page(run, "supply-table"))

    def pairs(run: Tables, n: str, total: str) -> bool:
        known = run.read("niche/ligand_receptor_contrasts.tsv")["effect"].notna().sum()
        return close(total, known) and close(n, on_page(run, "ligand-receptor-contrasts-table"))

    def scored(run: Tables, n: str, total: str, rest: str) -> bool:
        table = run.read("niche/ligand_receptor.tsv")
        known = (table["score"].notna() & (table["status"] != "not_testable")).sum()
        return (
            close(total, known)
            and close(rest, len(table) - known)
            and close(n, on_page(run, "ligand-receptor-table"))
        )

    def scores(run: Tables, n: str, total: str) -> bool:
        table = run.read("niche/scores.tsv")
        table = table[(table["tier"] != "identity") & table["effect"].notna()]
        whole = table[table["level"] == "lineage"]
        same = ["contrast", "set", "effect", "ci_low", "ci_high", "p"]
        same += [c for c in ("cells_test", "cells_reference") if c in table]
        part = table[table["level"] == "cell_type"]
        again = part[same].apply(tuple, axis=1).isin(set(whole[same].apply(tuple, axis=1)))
        return close(total, len(table) - (again.sum() if len(part) else 0)) and close(
            n, on_page(run, "score-contrasts-table")
        )

    def ranked(run: Tables, n: str, total: str) -> bool:
        return close(total, len(run.read("niche/emh_axes.tsv"))) and close(
            n, on_page(run, "emh-axes-table")
        )

    yield (
        r"Differences that have a size: ([\d,]+) of ([\d,]+); ([\d,]+) further pairs",
        sized,
    )
    yield r"Shown: ([\d,]+) of ([\d,]+) tested rows", supplies
    yield r"donor by donor: ([\d,]+) of ([\d,]+) combinations that could be compared", pairs
    yield r"with a score: ([\d,]+) of ([\d,]+); ([\d,]+) have none", scored
    yield r"over donors: ([\d,]+) of ([\d,]+) that have a size", scores
    yield r"tissue and platform: ([\d,]+) of ([\d,]+)\.", ranked
    yield from _myeloid_counts()


def _myeloid_counts() -> Iterator[Claim]:
    def no_cells(run: Tables, n: str) -> bool:
        return close(n, (run.read("myeloid/gates.tsv")["code"] == "no_lineage_cells").sum())

    def clusters(run: Tables, compared: str, more: str, claimed: str) -> bool:
        table = run.read("myeloid/clusters.tsv")
        table = table[table["composition_q"].notna()]
        held = table[(table["composition_q"] <= 0.05) & table["share_case"].notna()]
        key = ["lineage", "tissue", "dataset", "cluster"]
        parts = (table, held, held[held["code"] == "claimed"])
        sizes = [len(part.drop_duplicates(key)) for part in parts]
        return all(map(close, (compared, more, claimed), sizes))

    def not_asked(run: Tables, n: str) -> bool:
        status = run.read("known_answers.tsv")["status"]
        return close(n, (~status.isin(["pass", "fail"])).sum())

    yield r"Left out: ([\d,]+) gates? without a cell", no_cells
    yield (
        r"([\d,]+) could be compared, cases hold more of ([\d,]+) .*?, ([\d,]+) carr(?:y|ies)",
        clusters,
    )
    yield r"([\d,]+) checks? could not be asked", not_asked


def on_page(run: Tables, name: str) -> int:
    """Return how many rows a table of the index has."""
    return len(table_rows(run.root / "report/index.html").get(name, []))


def _limit_claims() -> Iterator[Claim]:
    def unknown(run: Tables, n: str, total: str) -> bool:
        known = run.samples["donor_known"].astype(bool)
        return close(n, (~known).sum()) and close(total, len(known))

    def gated(run: Tables, n: str, total: str) -> bool:
        gate = run.samples["enrichment"].fillna("none")
        return close(n, (gate != "none").sum()) and close(total, len(gate))

    def untested(run: Tables, n: str, total: str) -> bool:
        verdict = run.read("niche/design.tsv")["verdict"]
        return close(n, (verdict != "tested").sum()) and close(total, len(verdict))

    def soup(run: Tables, n: str, total: str) -> bool:
        kinds = [qc["soup"] for qc in run.qc.values()]
        return close(n, kinds.count("library")) and close(total, len(kinds))

    def never(run: Tables, listed: str) -> bool:
        table = run.read("niche/contrasts.tsv").query("tier == 'core' & role == 'ligand'")
        tested = set(table.loc[table["status"] == "tested", "gene"])
        lost = set(table["gene"]) - tested
        told = items(listed)
        more = re.fullmatch(r"(\d+) more", told[-1])
        named = set(told[:-1]) if more else set(told)
        return named <= lost and len(named) + int(more[1] if more else 0) == len(lost)

    yield rf"^The files of ({N}) of ({N}) samples? hold no empty droplets", soup
    yield r"^No contrast could test (.*) in any cell type\.", never
    yield rf"({N}) of ({N}) samples? come from a donor that is not known", unknown
    yield rf"({N}) of ({N}) samples? were sorted or enriched", gated
    yield rf"({N}) of ({N}) contrasts? cannot be tested", untested
