"""Tracing every number that a sentence of the index states to the table it came from.

The sentences are read from the page as a reader sees them; the tables are read as plain files, and
every number is computed anew. A sentence that no rule here knows, or that has a number its rule
does not claim, is returned as untraced.
"""

import re
from collections.abc import Callable, Iterator

import pandas as pd

from emhniche.axes import Q_LEVEL
from emhniche.report import words
from stated import SIZE, N, Tables, close, fold, items, names, p_value, percent
from traced_myeloid import called, closed, markers, nobody, only_scored, shares

FDR = rf"at a false discovery rate of ({re.escape(f'{Q_LEVEL:g}')})"


def expected_glance(run: Tables) -> list[str]:
    """Compute the numbers at the head of an index from the files."""
    verdict = pd.Series([one["verdict"] for one in run.qc.values()]).value_counts()
    tally = [f"{verdict[key]} {words.VERDICTS[key]}" for key in words.VERDICTS if key in verdict]
    n_kept, n_in = sizes(run)
    lineage = run.read("annotate/annotation.parquet")["lineage"]
    clusters = run.read("cluster/clusters.parquet")["cluster"].nunique()
    verdicts = run.read("niche/design.tsv")["verdict"]
    rows = run.read("niche/contrasts.tsv").query("level == 'cell_type' & status == 'tested'")
    hits = f"{clear(rows, Q_LEVEL).sum():,}" if len(rows) else "–"
    of = f"of {len(rows):,} tested" if len(rows) else "none could be tested"
    calls = run.read("myeloid/calls.parquet").dropna(subset=["pathological"])
    mark = calls.groupby("cell_id")["pathological"].any() if len(calls) else None
    myeloid = "– MDSC-like cells: none could be judged"
    if mark is not None:
        myeloid = f"{mark.sum():,} MDSC-like cells, of {len(mark):,} case cells judged"
    plural = "" if len(verdicts) == 1 else "s"
    return [
        f"{len(run.qc):,} samples: {words.join(tally)}",
        f"{n_kept:,} cells kept, of {n_in:,} barcodes",
        f"{lineage[lineage != 'unresolved'].nunique()} lineages, in {clusters} clusters",
        f"{(verdicts == 'tested').sum()} of {len(verdicts)} contrast{plural} can be tested",
        f"{hits} differences of a panel gene in a cell type, {of}",
        myeloid,
    ]


def sizes(run: Tables) -> tuple[int, int]:
    """Count the cells of the samples that are in the run, and the barcodes of all samples."""
    kept = sum(one["n_kept"] for one in run.used.values())
    return kept, sum(one["n_in"] for one in run.qc.values())


def came_in(run: Tables, cells, samples, datasets, barcodes) -> bool:
    kept, total = sizes(run)
    used = run.cells["sample"].astype(str).isin(run.used)
    sets = run.cells.loc[used, "dataset"].nunique()
    return (
        close(cells, kept)
        and close(samples, len(run.used))
        and close(barcodes, total)
        and close(datasets, sets)
    )


def warned(run: Tables, n, total, named) -> bool:
    return verdict(run, "warn", True, n, total, named) and reasons_told(run, named or "")


def failed(run: Tables, n, total, outcome, named) -> bool:
    return verdict(run, "fail", outcome == "but", n, total, named) and reasons_told(run, named)


def reasons_told(run: Tables, named: str) -> bool:
    told = re.findall(r"(\S+) \((.*?)\)(?:, | and |$)", named)
    return bool(told or not named) and all(
        run.qc[sample]["verdict_reason"] == reason for sample, reason in told
    )


def verdict(run: Tables, wanted, kept, n, total, named) -> bool:
    hit = [s for s, one in run.qc.items() if one["verdict"] == wanted and one["kept"] == kept]
    return (
        close(n, len(hit))
        and close(total, len(run.qc))
        and all(sample in (named or sample) for sample in hit)
    )


def kept(run: Tables, n, total, share, samples) -> bool:
    n_kept, n_in = sizes(run)
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
    # the formula of the design is the table's
    plain = re.sub(r",? ?~ [^;]*", "", str(row["reason"]))
    reasons = [part.strip() for part in plain.split(";")[:2]]
    known = re.match(r"(\d+) against (\d+) known donors", rest)
    if known and not (
        close(known[1], row["known_donors_test"]) and close(known[2], row["known_donors_reference"])
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
    effects = dict(zip(rows["lineage"].map(words.cells), rows["effect"], strict=True))
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
    return (
        set(mine["gene"]) == set(items(genes))
        and not (mine["detection"].notna() & (mine["status"] != "not_testable")).any()
    )


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


def clear(table: pd.DataFrame, level: str | float) -> pd.Series:
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
    return all(fold(one[3], effects[one[1], one[2]]) for one in told) and len(told) + int(
        (more or "0").replace(",", "")
    ) == len(table)


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
            & (scored["sender"].map(words.cells) == sender)
            & (scored["receptor"] == receptor)
            & (scored["receiver"].map(words.cells) == receiver)
        ).any()
    return close(n, len(scored)) and close(total, len(table)) and bool(there)


def unsorted_libraries_missing(run: Tables, title, reason) -> bool:
    row = run.of("niche/design.tsv", title).iloc[0]
    return reason.rstrip(".").lower() == str(row["composition_reason"]).rstrip(".").lower()


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


def emh(run: Tables, title, way, level, effect, low, high, q, shares) -> bool:
    row = run.of("niche/emh_contrasts.tsv", title).query("measure == 'emh_index'").iloc[0]
    called = row["q"] <= float(level) and (row["ci_low"] > 0 or row["ci_high"] < 0)
    said = {"is higher": row["effect"] > 0, "is lower": row["effect"] < 0}
    return (
        bool(called) == (way != "does not differ")
        and bool(said.get(way, True))
        and close(effect, row["effect"])
        and close(low, row["ci_low"])
        and close(high, row["ci_high"])
        and p_value(q, row["q"])
        and others_moved(run, title, row["effect"], level, shares)
    )


def others_moved(run: Tables, title, effect, level, shares) -> bool:
    """Ask whether cells that are no part of the index moved the other way, where that is said."""
    table = run.of("niche/composition.tsv", title).query("level == 'lineage'")
    table = table[(table["status"] == "tested") & (table["q"] <= float(level))]
    blood = ("HSPC", "erythroid", "megakaryocyte", "neutrophil")
    other = table[~table["lineage"].isin(blood) & (table["effect"] * effect < 0)]
    said = re.search(r"shares: (.*) became (more|less) frequent", shares)
    if not said:
        return other.empty and not shares
    return set(items(said[1])) <= set(other["lineage"].map(words.cells)) and (
        (said[2] == "more") == (effect < 0)
    )


def emh_size(run: Tables, title, effect) -> bool:
    row = run.of("niche/emh_contrasts.tsv", title).query("measure == 'emh_index'").iloc[0]
    return close(effect, row["effect"]) and row["status"] != "tested"


def emh_not(run: Tables, title, reason) -> bool:
    row = run.of("niche/emh_contrasts.tsv", title).query("measure == 'emh_index'").iloc[0]
    known = str(row["reason"]).rstrip(".").lower()
    return pd.isna(row["effect"]) and bool(known) and reason.rstrip(".").lower() == known


def clearest(run: Tables, title, listed, more) -> bool:
    """Ask for the fold changes, intervals and q of a contrast's clearest differences."""
    table = run.of("niche/contrasts.tsv", title).query("level == 'cell_type'")
    table = table[(table["status"] == "tested") & ~table["ambient"].fillna(False).astype(bool)]
    table = table[clear(table, Q_LEVEL)]
    told = re.findall(
        rf"(?:^|, | and )(\S+) in (.+?) ({SIZE}) \(95 % ({N}) to ({N}), q (\S+?)\)(?=, | and |$)",
        listed,
    )
    good = len(told) == listed.count("(95 % ") and len(told) + int(more or 0) == len(table)
    worst = 0.0
    for gene, cells, size, _, _, low, high, q in told:
        row = table[(table["gene"] == gene) & (names(table["cell_type"]) == cells)].iloc[0]
        ends = sorted(2 ** abs(row[key]) for key in ("ci_low", "ci_high"))
        good &= fold(size, row["effect"]) and p_value(q, row["q"])
        good &= close(low, ends[0]) and close(high, ends[1])
        worst = max(worst, row["q"])
    return bool(good) and (table["q"] < worst).sum() < max(len(told), 1)


def no_clear(run: Tables, title, n, level) -> bool:
    table = run.of("niche/contrasts.tsv", title).query("level == 'cell_type'")
    table = table[(table["status"] == "tested") & ~table["ambient"].fillna(False).astype(bool)]
    return close(n, len(table)) and not clear(table, level).any()


def nothing_tested(run: Tables, title) -> bool:
    table = run.of("niche/contrasts.tsv", title).query("level == 'cell_type'")
    sure = ~table["ambient"].fillna(False).astype(bool)
    return not ((table["status"] == "tested") & sure).any()


def supplies(run: Tables, title, level, listed) -> bool:
    table = run.of("niche/supply.tsv", title).query("level == 'lineage' & status == 'tested'")
    if "ambient" in table:
        table = table[~table["ambient"].fillna(False).astype(bool)]
    hits = table[clear(table, level)]
    none = re.fullmatch(r"none of ([\d,]+) differs", listed)
    if none:
        return close(none[1], len(table)) and hits.empty
    some = re.fullmatch(r"([\d,]+) of ([\d,]+) differs?: (?:the clearest )?(.*)", listed)
    effects = {
        (row["gene"], words.cells(row["cell_type"])): row["effect"] for _, row in hits.iterrows()
    }
    told = [re.fullmatch(rf"(\S+|<.*>) of (.+) ({SIZE})", one) for one in items(some[3])]
    return (
        close(some[1], len(hits))
        and close(some[2], len(table))
        and all(fold(one[3], effects[one[1], one[2]]) for one in told)
    )


def rules(run: Tables) -> Iterator[tuple[str, Callable]]:
    """Yield the form of each sentence, and what asks its numbers of the tables."""
    title = "(" + "|".join(map(re.escape, sorted(run.contrast, key=len, reverse=True))) + ")"
    yield (
        rf"({N}) cells? of ({N}) samples? from ({N}) datasets? are in this report, of ({N}) .*",
        (came_in),
    )
    yield rf"({N}) of ({N}) samples? carr(?:y|ies) a warning(?:: (.*))?\.", warned
    yield rf"({N}) of ({N}) samples? failed quality control (and|but) [a-z, ]+: (.*)\.", failed
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
        rf"(.+ in [^:]+): ({N}) of ({N}) case cells?"
        rf"(?: within the reference's maturation \(({N}) outside\))? are called .+? by (.+); "
        rf"({N}) case against "
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
        rf"{title}, (scores|responses) that differ {FDR}: (?:none|(\d+)) of ({N})(?:\.|: .*)",
        differ,
    )
    yield (
        rf"{title}: the EMH index (is higher|is lower|does not differ) {FDR}: ([+−]?{N}) in log2 "
        rf"odds \(95 % ([+−]?{N}) to ([+−]?{N}), q (\S+)\)\.(.*)",
        emh,
    )
    yield rf"{title}: the EMH index differs by ([+−]?{N}) in log2 odds, with no p-value\.", emh_size
    yield rf"{title}: the EMH index cannot be compared\. (.*)", emh_not
    yield (
        rf"{title}: (\S+ in .+ \(95 % .*?\))"
        rf"(?:; ({N}) more differs?)?\.",
        clearest,
    )
    yield (
        rf"{title}: none of ({N}) tested pairs? of gene and cell type differs {FDR}\. That is .*",
        no_clear,
    )
    yield rf"{title}: no gene of the panel could be tested in any cell type; .*", nothing_tested
    yield rf"{title}, supply of ligands {FDR}: (.*)\.", supplies
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
                if not asked(ask, run, found):
                    left.append(f"not what the tables say ({ask.__name__}): {sentence}")
                break
        else:
            left.append(f"no rule traces it: {sentence}")
    return left


def asked(ask: Callable, run: object, found: re.Match) -> bool | None:
    """Ask for what a text says; of what the run has not it is wrong."""
    try:
        return ask(run, *found.groups())
    except (IndexError, KeyError, StopIteration, ValueError):
        return False


def numbers_off_by_one(sentence: str) -> Iterator[str]:
    """Yield the sentence with each of its numbers changed, one at a time."""
    for found in re.finditer(r"(?<![\w.−-])\d[\d,]*(?:\.\d+)?(?![\w.,]*\d)", sentence):
        text = found[0].replace(",", "")
        step = 10 ** -len(text.partition(".")[2]) * 3
        changed = f"{float(text) + step:,.{len(text.partition('.')[2])}f}"
        yield sentence[: found.start()] + changed + sentence[found.end() :]
