"""Tracing every number that a sentence of the index states to the table it came from.

The sentences are read from the page as a reader sees them; the tables are read as plain files, and
every number is computed anew. A sentence that no rule here knows, or that has a number its rule does
not claim, is returned as untraced.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd

from emhniche.axes import Q_LEVEL
from emhniche.donor_markers import MARKER_LEVEL
from emhniche.gate import naive_threshold
from emhniche.report import words
from emhniche.report.myeloid_gates import MIN_GENES

N = r"[−-]?[\d,]+(?:\.\d+)?"
FDR = rf"at a false discovery rate of ({re.escape(f'{Q_LEVEL:g}')})"
SIZE = rf"(?:({N})-fold (higher|lower)|the same)"


def sentences(page: Path) -> list[str]:
    """Return the sentences of an index that state what was found, as a reader sees them."""
    html = re.sub(r"\s+", " ", page.read_text(encoding="utf-8"))
    told = re.findall(r'<p class="standfirst">(.*?)</p>', html)
    told += re.findall(r'<li><span>.*?</span><span>(.*?)<a class="source"', html)
    told += re.findall(r'<p> ?<span class="badge[^>]*>[^<]*</span>(.*?)</p>', html)
    return [unescape(re.sub(r"<[^>]+>", "", one)).strip() for one in told]


def close(text: str, value: float) -> bool:
    """Tell whether a number in a text is `value`, to the digits that it shows."""
    plain = text.replace(",", "").replace("−", "-").lstrip("+")
    digits = len(plain.partition(".")[2])
    return abs(float(plain) - float(value)) <= 0.5 * 10**-digits * (1 + 1e-6)


def percent(text: str, share: float) -> bool:
    """Tell whether ``12 %``, ``<1 %`` or ``>99 %`` is a share of 0 to 1."""
    if text.startswith("<"):
        return text == "<1 %" and 0 < 100 * share < 1
    if text.startswith(">"):
        return text == ">99 %" and 99 < 100 * share < 100
    return close(text.removesuffix(" %"), 100 * share)


def p_value(text: str, value: float) -> bool:
    """Tell whether a p-value is written to two digits, or as below a ten-thousandth."""
    return value < float(text[1:]) == 1e-4 if text.startswith("<") else float(f"{value:.1e}") == float(text)


def items(text: str) -> list[str]:
    """Split a list in words."""
    return [one for one in re.split(r", (?=\S)| and ", text) if one]


def names(values: pd.Series) -> pd.Series:
    """Write names as sentences do."""
    return values.map(words.name)


def fold(text: str, effect: float) -> bool:
    """Tell whether ``2.8-fold higher`` is a log2 fold change."""
    found = re.fullmatch(SIZE, text)
    if not found or found[1] is None:
        return bool(found) and 2 ** abs(effect) < 1.05
    return close(found[1], 2 ** abs(effect)) and (found[2] == "higher") == (effect > 0)


@dataclass
class Tables:
    """The files of a run, the titles of its contrasts, and its cells with their sheet."""

    root: Path
    titles: dict[str, str]
    cells: pd.DataFrame

    def __post_init__(self) -> None:
        paths = sorted(self.root.glob("samples/*/qc.json"))
        self.qc = {one["sample"]: one for one in map(json.loads, (p.read_text() for p in paths))}
        self.contrast = {title: name for name, title in self.titles.items()}

    def read(self, path: str) -> pd.DataFrame:
        """Read one table of the run."""
        file = self.root / path
        return pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file, sep="\t")

    def of(self, path: str, title: str) -> pd.DataFrame:
        """Return the rows of a table about the contrast with this title."""
        table = self.read(path)
        return table[table["contrast"] == self.contrast[title]]


def came_in(run: Tables, cells, samples, datasets, barcodes) -> bool:
    kept = sum(one["n_kept"] for one in run.qc.values())
    total = sum(one["n_in"] for one in run.qc.values())
    sets = run.read("score/null.tsv")["dataset"].nunique()
    return (
        close(cells, kept)
        and close(samples, len(run.qc))
        and close(barcodes, total)
        and close(datasets, sets)
    )


def verdicts(run: Tables, n, total, said, named) -> bool:
    wanted = "fail" if said.startswith("failed") else "warn"
    hit = sorted(s for s, one in run.qc.items() if one["verdict"] == wanted)
    return (
        close(n, len(hit))
        and close(total, len(run.qc))
        and all(sample in (named or sample) for sample in hit)
    )


def kept(run: Tables, n, total, share, samples) -> bool:
    n_kept = sum(one["n_kept"] for one in run.qc.values())
    n_in = sum(one["n_in"] for one in run.qc.values())
    return (
        close(n, n_kept)
        and close(total, n_in)
        and percent(share, n_kept / n_in)
        and close(samples, len(run.qc))
    )


def cost(run: Tables, text) -> bool:
    parts = re.findall(r"(?:^|, | and )(.+?) of (.+?) \(([<>]?\d+ %) of ([\d,]+) barcodes\)", text)
    for lineage, sample, share, n in parts:
        row = next(r for r in run.qc[sample]["lineages"] if words.name(r["lineage"]) == lineage)
        if not (percent(share, 1 - row["n_kept"] / row["n_in"]) and close(n, row["n_in"])):
            return False
    return len(parts) == text.count("barcodes")


def lineages(run: Tables, cells, clusters, n, listed, lost, share) -> bool:
    found = run.read("annotate/annotation.parquet")["lineage"].value_counts()
    left = found.get("unresolved", 0)
    found = found.drop("unresolved", errors="ignore")
    said = dict(re.findall(r"(?:^|, | and )([^()]+?) \(([\d,]+)\)", listed))
    return (
        close(cells, found.sum() + left)
        and close(clusters, run.read("cluster/clusters.parquet")["cluster"].nunique())
        and close(n, len(found))
        and set(said) == set(map(words.name, found.index))
        and all(close(said[words.name(lineage)], size) for lineage, size in found.items())
        and close(lost, left)
        and percent(share, left / (found.sum() + left))
    )


def audited(run: Tables, title, rest) -> bool:
    row = run.of("niche/design.tsv", title).iloc[0]
    reasons = [part.strip() for part in str(row["reason"]).split(";")[:2]]
    known = re.match(r"(\d+) against (\d+) known donors", rest)
    if known and not (
        close(known[1], row["known_donors_test"])
        and close(known[2], row["known_donors_reference"])
    ):
        return False
    paired = re.match(r"(\d+) paired known donors", rest)
    if paired and not close(paired[1], row["paired_donors"]):
        return False
    return rest.startswith(reasons[0]) and (";" not in rest or "; ".join(reasons) in rest)


def odds(run: Tables, title, level, listed) -> bool:
    table = run.of("niche/composition.tsv", title).query("level == 'lineage'")
    tested = table[table["status"] == "tested"]
    if level and listed.startswith("none of"):
        n = re.fullmatch(r"none of (\d+) lineages differs", listed)[1]
        return close(n, len(tested)) and not (tested["q"] <= float(level)).any()
    rows = (tested[tested["q"] <= float(level)] if level else table[table["effect"].notna()]).copy()
    effects = dict(zip(names(rows["lineage"]), rows["effect"], strict=True))
    told = [re.fullmatch(rf"(.+) ({SIZE})", one) for one in items(listed)]
    sizes = rows["effect"].abs().sort_values(ascending=False)
    least = min(abs(effects[one[1]]) for one in told)
    return all(fold(one[2], effects[one[1]]) for one in told) and bool(
        len(told) == len(rows) or (sizes.iloc[: len(told)] >= least - 1e-9).all()
    )


def producers(run: Tables, niche, listed) -> bool:
    table = run.read("niche/production.tsv")
    table = table[(names(table["niche"]) == niche) & table["detection"].notna()]
    table = table.assign(cell_type=names(table["cell_type"]))
    found = re.findall(
        r"(?:^|, | and |: )(\S+) in (.+?) \(([<>]?\d+ %) of ([\d,]+) cells?\)", listed
    )
    for gene, cell_type, share, n in found:
        rows = table[(table["gene"] == gene) & (table["cell_type"] == cell_type)]
        if not any(
            percent(share, row["detection"]) and close(n, row["n_cells"])
            for _, row in rows.iterrows()
        ):
            return False
        sure = table[(table["gene"] == gene) & (table["status"] != "not_testable")]
        best = sure.loc[~sure["ambient"].fillna(False).astype(bool), "detection"].max()
        if not percent(share, best):
            return False
    return len(found) == len(re.findall(r" of [\d,]+ cells?\)", listed)) > 0


def cannot_be_judged(run: Tables, niche, genes) -> bool:
    table = run.read("niche/production.tsv")
    mine = table[(names(table["niche"]) == niche) & table["gene"].isin(items(genes))]
    return set(mine["gene"]) == set(items(genes)) and not (
        mine["detection"].notna() & (mine["status"] != "not_testable")
    ).any()


def pairs(run: Tables, title, total, listed) -> bool:
    table = run.of("niche/contrasts.tsv", title).query("level == 'cell_type'")
    said = re.findall(rf"({N}) (?:is|are) ([a-z ]+?)(?=, | and |$)", listed)
    counts = table["status"].value_counts()
    return (
        close(total, len(table))
        and len(said) == len(counts)
        and all(close(n, counts[word.replace(" ", "_")]) for n, word in said)
    )


def none_differs(run: Tables, title, n, level) -> bool:
    tested = run.of("niche/contrasts.tsv", title).query("level == 'cell_type' & status == 'tested'")
    return close(n, len(tested)) and not (clear(tested, level)).any()


def clear(table: pd.DataFrame, level: str) -> pd.Series:
    return (table["q"] <= float(level)) & ((table["ci_low"] > 0) | (table["ci_high"] < 0))


def named(run: Tables, title, level, listed, more) -> bool:
    table = run.of("niche/contrasts.tsv", title).query("level == 'cell_type'")
    if level:
        table = table[table["status"] == "tested"]
        table = table[clear(table, level)]
    else:
        table = table[(table["status"] == "effect_only") & table["effect"].notna()]
    effects = {
        (row["gene"], words.name(row["cell_type"])): row["effect"] for _, row in table.iterrows()
    }
    told = [re.fullmatch(rf"(\S+) in (.+) ({SIZE})", one) for one in items(listed)]
    return (
        all(fold(one[3], effects[one[1], one[2]]) for one in told)
        and len(told) + int((more or "0").replace(",", "")) == len(table)
    )


def not_compared(run: Tables, title, genes) -> bool:
    table = run.of("niche/contrasts.tsv", title).query("level == 'cell_type'")
    mine = table[table["gene"].isin(items(genes)) & (table["role"] == "ligand")]
    return set(mine["gene"]) == set(items(genes)) and (mine["status"] == "not_testable").all()


def signals(run: Tables, niche, n, total, ligand, sender, receptor, receiver) -> bool:
    table = run.read("niche/ligand_receptor.tsv")
    table = table[names(table["niche"]) == niche]
    scored = table[table["score"].notna() & (table["status"] != "not_testable")]
    there = True
    if ligand:
        there = (
            (scored["ligand"] == ligand)
            & (names(scored["sender"]) == sender)
            & (scored["receptor"] == receptor)
            & (names(scored["receiver"]) == receiver)
        ).any()
    return close(n, len(scored)) and close(total, len(table)) and bool(there)


def called(run: Tables, place, n, judged, signature, case, reference, p, q, rest) -> bool:
    gates = run.read("myeloid/gates.tsv")
    where = names(gates["lineage"]) + " in " + names(gates["tissue"])
    place = re.sub(r" \(.*\)$", "", place)
    mine = gates[
        (where.map(words.capital) == place)
        & (names(gates["signature"]) == signature)
        & (gates["code"] == "called")
    ].iloc[0]
    calls = run.read("myeloid/calls.parquet")
    calls = calls[(calls["lineage"] == mine["lineage"]) & (calls["signature"] == mine["signature"])]
    tissue = run.cells["tissue"].reindex(calls["cell_id"]).to_numpy() == mine["tissue"]
    mark = calls.loc[tissue, "pathological"].dropna().astype(bool)
    good = (
        close(n, mark.sum())
        and close(judged, len(mark))
        and close(case, mine["case_donors"])
        and close(reference, mine["reference_donors"])
        and p_value(p, mine["p"])
        and p_value(q, mine["q"])
    )
    beyond = re.search(r"have, (\S+ %) of [a-z ]+ \(95 % interval (\S+ %) to (\S+ %)\)", rest)
    good &= bool(beyond) == (" Beyond " in rest)
    if beyond:
        columns = ("excess", "excess_low", "excess_high")
        texts = [one.replace("−", "-") for one in beyond.groups()]
        good &= all(percent(x, mine[c]) for x, c in zip(texts, columns, strict=True))
    return bool(good)


def cells_of(run: Tables, gate: pd.Series) -> pd.DataFrame:
    """Return the calls of a gate with each cell's donor."""
    calls = run.read("myeloid/calls.parquet").set_index("cell_id")
    calls = calls[(calls["lineage"] == gate["lineage"]) & (calls["signature"] == gate["signature"])]
    here = run.cells[
        (run.cells["tissue"] == gate["tissue"]) & (run.cells["dataset"] == gate["dataset"])
    ]
    return calls.join(here[["donor"]].astype(str), how="inner")


def shares(run: Tables, place, listed) -> bool:
    """Ask for the shares of called and other cells above the reference cells, donor by donor."""
    gates = run.read("myeloid/gates.tsv")
    where = (names(gates["lineage"]) + " in " + names(gates["tissue"])).map(words.capital)
    sets = {"immediate-early": "Dissociation_IEG", "interferon": "ISG_Neu"}
    scores = run.read("score/scores.parquet").set_index("cell_id")
    for name, column in sets.items():
        said = re.search(rf"{name} genes (.*?) of the called and (.*?) of the other", listed)
        if not said:
            continue
        numbers = [re.findall(r"[<>]?\d+ %", one) for one in said.groups()]
        fitting = []
        for _, gate in gates[(where == place) & (gates["code"] == "called")].iterrows():
            cells = cells_of(run, gate).join(scores[[column]]).dropna(subset=[column])
            naive = cells[cells["status"] == "reference"]
            limit = naive_threshold(naive[column].to_numpy(float), naive["donor"].to_numpy(str))
            judged = cells.dropna(subset=["pathological"])
            hit = (judged[column] > limit).astype(float)
            by = [judged["donor"], judged["pathological"].astype(bool)]
            table = hit.groupby(by).mean().unstack().dropna()
            ends = [[table[c].median(), table[c].min(), table[c].max()] for c in (True, False)]
            fitting.append(all(map(percent, sum(numbers, []), sum(ends, []))))
        if not any(fitting):
            return False
    return True


def markers(run: Tables, level, donors, listed) -> bool:
    subsets = run.read("myeloid/subsets.tsv")
    every = subsets[subsets["state"] == "all"]
    if level:
        return float(level) == MARKER_LEVEL and (every["marker_units"] == float(donors)).any()
    told = re.findall(r"(?:^|, | and )(.+?) \((\d+) of (\d+) donors\)", listed)
    said = ";".join(f"{gene}={n}/{of}" for gene, n, of in told)
    return bool(told) and said in set(every["markers_per_unit"])


def unsorted_libraries_missing(run: Tables, title, reason) -> bool:
    row = run.of("niche/design.tsv", title).iloc[0]
    return reason.rstrip(".").lower() == str(row["composition_reason"]).rstrip(".").lower()


def closed(run: Tables, end, where, reason) -> bool:
    """Ask for every place of a sentence how many signatures share its end, and how far they were."""
    gates = run.read("myeloid/gates.tsv")
    total = gates["signature"].nunique()
    status = {"The gate stayed closed": "tested", "Scores only, no call": "score_only"}
    gates = gates[(gates["code"] != "called") & (gates["status"] == status.get(end, "not_testable"))]
    place = names(gates["lineage"]) + " in " + names(gates["tissue"])
    for _, same in gates.assign(place=place).groupby("code"):
        rows = [places_of(same, part, total) for part in where.split("; ")]
        if all(len(one) for one in rows):
            return spans(pd.concat(rows), reason)
    return False


def places_of(gates: pd.DataFrame, part: str, total: int) -> pd.DataFrame:
    """Return the gates that a part of a sentence is about; none where its number is wrong."""
    place, by = part.split(" by ", 1)
    told = set()
    for one in re.split(r"(?:, | and )(?=[^()]+? in )", place):
        lineage, tissues = one.split(" in ")
        told |= {f"{lineage} in {tissue}" for tissue in items(tissues)}
    full = gates["place"] + " (" + gates["dataset"].astype(str) + ")"
    inside = gates[gates["place"].isin(told) | full.isin(told)]
    counted = re.fullmatch(r"(?:all|(\d+) of) (\d+) signatures", by)
    if not counted:
        return inside[names(inside["signature"]).isin(items(by))]
    wanted = int(counted[1] or total)
    sizes = inside.groupby(["place", "dataset"])["signature"].transform("nunique")
    return inside[sizes == wanted] if int(counted[2]) == total else inside.iloc[:0]


def spans(gates: pd.DataFrame, reason: str) -> bool:
    """Ask the range in brackets of the gates' column, and the number of genes that are needed."""
    needed = re.search(r"fewer than (\d+) genes", reason)
    if needed and int(needed[1]) != MIN_GENES:
        return False
    p = re.search(r"\(adjusted p ([<\d.]+)(?: to ([\d.]+))?\)", reason)
    if p:
        ends = [gates["q"].min(), gates["q"].max()]
        return p_value(p[1], ends[0]) and p_value(p[2] or p[1], ends[1])
    counted = re.search(rf"\(({N})(?: to ({N}))? (gene|cell|donor)s?\)", reason)
    if not counted:
        return True
    columns = {"gene": ["n_genes"], "cell": ["cells"]}.get(
        counted[3], ["reference_donors", "case_donors"]
    )
    low, high = counted[1], counted[2] or counted[1]
    return any(close(low, gates[c].min()) and close(high, gates[c].max()) for c in columns)


def differ(run: Tables, title, noun, level, n, total) -> bool:
    table = run.of(f"niche/{noun}.tsv", title)
    tested = table[table["status"] == "tested"]
    if "tier" in tested:
        tested = tested[tested["tier"] != "identity"]
    same = [
        c
        for c in ("set", "effect", "ci_low", "ci_high", "p", "cells_test", "cells_reference")
        if c in tested
    ]
    first = tested.assign(late=tested["level"] != "lineage").sort_values("late", kind="stable")
    again = first.duplicated(same) & (first["level"] == "cell_type")
    once = first[~again]
    hits = (once["q"] <= float(level)).sum()
    return close(total, len(once)) and close(n or "0", hits)


def emh(run: Tables, title, effect, low, high, q) -> bool:
    row = run.of("niche/emh_contrasts.tsv", title).query("measure == 'emh_index'").iloc[0]
    good = close(effect, row["effect"])
    if low:
        good &= close(low, row["ci_low"]) and close(high, row["ci_high"]) and p_value(q, row["q"])
    return bool(good)


def nobody(run: Tables, n) -> bool:
    calls = run.read("myeloid/calls.parquet")
    judged = calls.loc[calls["pathological"].notna(), "cell_id"].nunique()
    return close(n, judged)


def only_scored(run: Tables, n) -> bool:
    calls = run.read("myeloid/calls.parquet")
    scored = calls.loc[calls["status"] == "score_only", "cell_id"].nunique()
    return close(n, scored) if n else scored == 0


def rules(run: Tables) -> Iterator[tuple[str, Callable]]:
    """Yield the form of each sentence, and what asks its numbers of the tables."""
    title = "(" + "|".join(map(re.escape, sorted(run.contrast, key=len, reverse=True))) + ")"
    yield rf"({N}) cells? of ({N}) samples? from ({N}) datasets? are in this report, of ({N}) .*", (
        came_in
    )
    yield rf"({N}) of ({N}) samples? (failed|carr)[a-z ]+(?:: (.*))?\.", verdicts
    yield rf"({N}) of ({N}) barcodes? were kept as cells \((\S+ %)\) in ({N}) samples?\.", kept
    yield r"Quality control cost most in (.*)\.", cost
    yield (
        rf"({N}) cells? form ({N}) clusters? of ({N}) lineages?: (.*)\. "
        rf"({N}) cells? \((\S+ %)\) stay unresolved\.",
        lineages,
    )
    yield rf"{title}, odds of a cell to be of a lineage(?:, {FDR})?: (.*)\.", odds
    yield rf"{title}: of ({N}) pairs of gene and cell type (.*)\.", pairs
    yield rf"{title}: none of ({N}) tested differs {FDR}\.", none_differs
    yield (
        rf"{title}, (?:clearest {FDR}|the largest differences, with no p-value): (.*?)"
        rf"(?: \(({N}) more in the table\))?\.",
        named,
    )
    yield rf"{title}: of the panel's core ligands (.*) cannot be compared .*", not_compared
    yield r"(?:Ligands of|Seldom) the (\w+) niche (are seen most.*)", producers
    yield r"In the (\w+) niche (.*) cannot be judged in any cell type: .*", cannot_be_judged
    yield (
        rf"In the (\w+) niche ({N}) of ({N}) combinations of ligand[^;]*"
        r"(?:; high among them is (\S+) of (.+) to (\S+) of (.+))?\.",
        signals,
    )
    yield (
        rf"(.+ in [^:]+): ({N}) of ({N}) case cells? are called .+? by (.+); ({N}) case against "
        rf"({N}) reference donors?, p (\S+), adjusted (\S+)\.(.*)",
        called,
    )
    yield (
        r"(.+ in [^:]+), share of cells above 95 % of the reference cells, median and range of "
        r"donors: (.*)\.",
        shares,
    )
    yield (
        r"Markers of these cells, beside the genes they were called by: "
        r"(?:none at a false discovery rate of (0\.\d+) in (\d+) donors?|(.*))\.",
        markers,
    )
    yield r"(The gate stayed closed|Scores only, no call|Not scored) for (.*?): (.*)", closed
    yield (
        rf"{title}, (scores|responses) that differ {FDR}: (?:none|(\d+)) of ({N})(?:\.|, first .*)",
        differ,
    )
    yield (
        rf"{title}, EMH index: ([+−]{N}) in log2 odds"
        rf"(?: \(95 % ([+−]{N}) to ([+−]{N}), q (\S+)\))?\.",
        emh,
    )
    yield rf"None of ({N}) case cells? that could be judged is MDSC-like\.", nobody
    yield rf"No cell could be called MDSC-like or not(?:; ({N}) myeloid cells? .*)?\.", only_scored
    yield rf"{title}: frequencies cannot be compared\. (.*)", unsorted_libraries_missing
    yield rf"{title}: (.*)", audited


def untraced(run: Tables, sentences: list[str]) -> list[str]:
    """Return the sentences whose numbers are not those of the tables, or that no rule knows."""
    forms = list(rules(run))
    left = []
    for sentence in sentences:
        for form, ask in forms:
            found = re.fullmatch(form, sentence)
            if found:
                if not ask(run, *found.groups()):
                    left.append(f"not what the tables say ({ask.__name__}): {sentence}")
                break
        else:
            left.append(f"no rule traces it: {sentence}")
    return left


def numbers_off_by_one(sentence: str) -> Iterator[str]:
    """Yield the sentence with each of its numbers changed, one at a time."""
    for found in re.finditer(r"(?<![\w.−-])\d[\d,]*(?:\.\d+)?(?![\w.,]*\d)", sentence):
        text = found[0].replace(",", "")
        step = 10 ** -len(text.partition(".")[2]) * 3
        changed = f"{float(text) + step:,.{len(text.partition('.')[2])}f}"
        yield sentence[: found.start()] + changed + sentence[found.end() :]
