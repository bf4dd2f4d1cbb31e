"""Which tables of the niche and of myeloid cells does the index page show?

One function a table, as in :mod:`.index_tables`.
"""

import pandas as pd

from emhniche.axes import Q_LEVEL, differs
from emhniche.report import words
from emhniche.report.findings import top_producers
from emhniche.report.index_tables import run_table
from emhniche.report.myeloid_findings import marker_words
from emhniche.report.myeloid_gates import gate_status
from emhniche.report.niche_figures import known, places
from emhniche.report.page_tables import Column, PageTable, with_interval
from emhniche.report.tables import RunTables, contrast_titles
from emhniche.verdict import ALPHA

MAX_ROWS = 300
"""Rows of a long table on the page; the linked file holds all."""


def producer_table(run: RunTables) -> PageTable:
    """Return one row a ligand of the panel: which cells hold it most, or that nobody knows."""
    production = run["production"]
    ligands = production[production["role"].isin(["ligand", "adhesion_ligand"])]
    ligands = ligands.assign(place=places(ligands).str.replace("\n", ", "))
    rows = ligands.drop_duplicates("gene")[["axis", "gene"]].set_index("gene", drop=False)
    columns = [Column("axis", "Axis", "text"), Column("gene", "Ligand", "text")]
    for niche in words.order(ligands["niche"], ["marrow", "extramedullary"]):
        part = ligands[ligands["niche"] == niche]
        best = top_producers(part).reindex(rows.index)
        judged = set(part.loc[known(part), "gene"])
        rows[f"{niche}_type"] = [_producer(gene, best, judged) for gene in rows["gene"]]
        rows[f"{niche}_place"] = best["place"]
        rows[f"{niche}_detection"] = best["detection"]
        rows[f"{niche}_share"] = best["share_of_tissue"]
        columns += [
            Column(f"{niche}_type", f"Most often in {words.name(niche)}"),
            Column(f"{niche}_place", "of", "text"),
            Column(f"{niche}_detection", "Cells with it", "percent"),
            Column(f"{niche}_share", "Share of its transcripts", "percent"),
        ]
    return run_table(
        run,
        "production",
        rows,
        columns,
        caption="Ligands of the panel: the cell type of each niche that holds the transcript most "
        "often, and which share of all its transcripts in that tissue it makes (only where cells "
        "were not sorted).",
        searchable=True,
    )


def design_table(run: RunTables) -> PageTable:
    """Return the verdict on each contrast."""
    columns = [
        Column("contrast", "Contrast", "narrow"),
        Column("verdict", "Verdict", "status"),
        Column("units_test", "Units, test", "count"),
        Column("units_reference", "Units, ref.", "count"),
        Column("known_donors_test", "Known donors, test", "count"),
        Column("known_donors_reference", "Known donors, ref.", "count"),
        Column("reason", "Why", "prose"),
    ]
    table = _titled(run, run["design"])
    return run_table(
        run,
        "design",
        table,
        columns,
        caption="What each contrast allows. A unit is a donor, or a library of an unknown donor; "
        "only known donors can stand behind a p-value.",
    )


def contrast_table(run: RunTables) -> PageTable:
    """Return the differences that have a size, tested ones first and by q, then by size."""
    judged = run["contrasts"][run["contrasts"]["level"] == "cell_type"]
    table = judged[judged["effect"].notna()]
    rank = table["status"].map({key: i for i, key in enumerate(words.STATUSES)})
    order = pd.DataFrame({"rank": rank, "q": table["q"], "size": -table["effect"].abs()})
    order = order.sort_values(["rank", "q", "size"], kind="stable")
    tested = table["status"] == "tested"
    told = differs(table).map({True: "yes", False: "no"}).where(tested)
    shown = table.assign(differs=told).loc[order.index[:MAX_ROWS]]
    columns = [
        Column("contrast", "Contrast", "narrow"),
        Column("axis", "Axis", "text"),
        Column("gene", "Gene", "text"),
        Column("role", "Role"),
        Column("cell_type", "Cell type"),
        Column("effect", "log2 fold change", "signed"),
        Column("interval", "95 %", "text"),
        Column("q", "q", "p"),
        Column("differs", "Differs", "text"),
        Column("counts_test", "Counts, test", "count"),
        Column("counts_reference", "Counts, ref.", "count"),
        Column("status", "Status", "status"),
    ]
    return run_table(
        run,
        "contrasts",
        _titled(run, with_interval(shown)),
        columns,
        caption=f"Differences that have a size: {words.number(len(shown))} of "
        f"{words.number(len(table))}; {words.number(len(judged) - len(table))} further "
        "pairs of gene and cell type have none, because they are not testable. The test (q) and "
        "the size with its interval come from two models, weighted logs and counts, and may not "
        "agree: with few counts the direction can be clear (a small q) and the size not (an "
        f"interval that holds 0). Differs: tested, q ≤ {Q_LEVEL:g} and an interval without 0, as "
        "in the findings; a dash is not tested. Counts that ambient RNA or doublets explain are "
        "not testable.",
        searchable=True,
    )


def composition_table(run: RunTables) -> PageTable:
    """Return the frequencies of lineages in each contrast, where any arm has one."""
    table = run["composition"][run["composition"]["level"] == "lineage"]
    known_share = table[["fraction_test", "fraction_reference"]].notna().any(axis=1)
    columns = [
        Column("contrast", "Contrast", "narrow"),
        Column("lineage", "Lineage"),
        Column("fraction_test", "Test", "percent"),
        Column("fraction_reference", "Reference", "percent"),
        Column("effect", "log2 odds ratio", "signed"),
        Column("interval", "95 %", "text"),
        Column("q", "q", "p"),
        Column("effect_compositional", "Against the median kind", "signed"),
        Column("q_compositional", "q of that", "p"),
        Column("status", "Status", "status"),
    ]
    return run_table(
        run,
        "composition",
        _titled(run, with_interval(table[known_share])),
        columns,
        caption="Frequency of lineages, the mean of the units, from libraries that were not sorted "
        "or enriched. Where one kind grows, the odds of all others fall: the log2 fold change "
        "against the median kind takes that away. A dash: the arm has no such library.",
        searchable=True,
    )


def ligand_receptor_table(run: RunTables) -> PageTable:
    """Return the ligand-receptor combinations that have a score, highest first."""
    table = run["ligand_receptor"]
    scored = table[table["score"].notna() & (table["status"] != "not_testable")]
    shown = scored.sort_values("score", ascending=False, kind="stable").head(MAX_ROWS)
    unit = shown["unit"].astype(str).str.replace("^unknown:", "library ", regex=True)
    condition = shown["condition"].fillna("").astype(str).map(lambda one: one and f", {one}")
    signal = shown["axis"].astype(str) + ", " + shown["sign"].astype(str).map(words.name)
    shown = shown.assign(
        place=shown["niche"].map(words.name) + ", " + unit + condition,
        signal=signal + _ambient_words(shown),
    )
    columns = [
        Column("score", "Score", "hundredths"),
        Column("ligand", "Ligand", "text"),
        Column("sender", "made by"),
        Column("ligand_detection", "Cells", "percent"),
        Column("receptor", "Receptor", "text"),
        Column("receiver", "held by"),
        Column("receptor_detection", "Cells", "percent"),
        Column("signal", "Axis and sign", "narrow"),
        Column("place", "Niche, donor or library", "narrow"),
    ]
    return run_table(
        run,
        "ligand_receptor",
        shown,
        columns,
        caption=f"Ligand-receptor combinations with a score: {words.number(len(shown))} of "
        f"{words.number(len(scored))}; {words.number(len(table) - len(scored))} have none.",
        searchable=True,
    )


def gate_table(run: RunTables) -> PageTable:
    """Return why cells of each myeloid lineage could be called, or not, where there are any."""
    gates = run["gates"]
    shown = gates[gates["code"] != "no_lineage_cells"]
    shown = shown.assign(
        reason=shown["reason"].map(_first_clause),
        status=[gate_status(gate) for _, gate in shown.iterrows()],
    )
    left_out = words.plural(len(gates) - len(shown), "gate")
    columns = [
        Column("lineage", "Lineage"),
        Column("tissue", "Tissue"),
        Column("dataset", "Dataset", "text"),
        Column("signature", "Signature"),
        Column("cells", "Cells", "count"),
        Column("status", "Status", "status"),
        Column("reason", "Why", "prose"),
        Column("effect", "Effect (√ of share)", "hundredths"),
        Column("p", "p", "p"),
    ]
    return run_table(
        run,
        "gates",
        shown,
        columns,
        caption="Whether cells could be called, by lineage, place and signature, and the first "
        f"reason why not. Left out: {left_out} without a cell of the lineage.",
    )


def subset_table(run: RunTables) -> PageTable:
    """Return the called cells of each gate, all and by state, with the donors behind markers."""
    columns = [
        Column("subset", "Subset", "text"),
        Column("tissue", "Tissue"),
        Column("cells", "Cells", "count"),
        Column("units", "Donors", "count"),
        Column("fraction", "Median share", "percent"),
        Column("markers", "Markers", "prose"),
        Column("evidence", "Evidence", "prose"),
        Column("status", "Status", "status"),
    ]
    shown = run["subsets"]
    first = ~shown.duplicated(
        [c for c in ("lineage", "tissue", "dataset", "signature") if c in shown]
    )
    shown = shown.assign(
        markers=[marker_words(row) for _, row in shown.iterrows()],
        evidence=shown["evidence"]
        .str.replace(r";(?=\S)", ", ", regex=True)
        .where(first, "as above"),
        # the gate was tested, and not each of its states
        status=shown["status"].where(first, ""),
        subset=[
            str(row["subset"]).replace(str(row["signature"]), words.name(row["signature"]))
            for _, row in shown.iterrows()
        ]
        if "signature" in shown
        else shown["subset"],
    )
    return run_table(
        run,
        "subsets",
        shown,
        columns,
        caption="Called cells of each gate, all of them and by state. The status is that of the "
        "gate, whose donors were tested; states are counted only. A marker is higher than in "
        "uncalled cells of the same donors; the genes that the cells were called by are left out.",
    )


def myeloid_cluster_table(run: RunTables) -> PageTable:
    """Return the clusters that cases hold more of, claimed ones first."""
    table = run["myeloid_clusters"]
    clusters = table[table["composition_q"].notna()]
    more = clusters[(clusters["composition_q"] <= ALPHA) & (clusters["share_case"].notna())]
    claimed = more["code"] == "claimed"
    shown = more.loc[(~claimed).sort_values(kind="stable").index]
    shown = shown.assign(
        cluster=shown["cluster"].astype(float).map("{:.0f}".format),
        markers=shown["markers"].fillna("").astype(str).str.replace(";", ", "),
        where=shown["lineage"].map(words.name) + ", " + shown["tissue"].map(words.name),
    )
    place = ["lineage", "tissue", "dataset", "cluster"]
    numbers = [len(part.drop_duplicates(place)) for part in (clusters, more, more[claimed])]
    columns = [
        Column("label", "Claim"),
        Column("where", "Where", "text"),
        Column("cluster", "Cluster", "text"),
        Column("signature", "Signature"),
        Column("cells", "Cells", "count"),
        Column("share_case", "Share, cases", "percent"),
        Column("share_reference", "Share, reference", "percent"),
        Column("composition_q", "q, share", "p"),
        Column("signature_effect", "Residual", "signed"),
        Column("signature_q", "q, signature", "p"),
        Column("reason", "Why", "prose"),
        Column("markers", "Markers", "narrow"),
        Column("status", "Status", "status"),
    ]
    return run_table(
        run,
        "myeloid_clusters",
        shown,
        columns,
        caption=f"Clusters of a whole lineage: {words.number(numbers[0])} could be compared, cases "
        f"hold more of {words.number(numbers[1])} (these are listed, by signature), "
        f"{words.number(numbers[2])} {'carries' if numbers[2] == 1 else 'carry'} a signature as "
        f"well and {'is' if numbers[2] == 1 else 'are'} claimed. A claim is about the cluster, not "
        "about any cell of it.",
        searchable=True,
    )


def _first_clause(reason: object) -> str:
    """Return the first of the reasons that stand in one text."""
    return words.sentence(str(reason).split(";")[0].split(". ")[0])


def _titled(run: RunTables, table: pd.DataFrame) -> pd.DataFrame:
    """Give contrasts the names they have in sentences."""
    return table.assign(contrast=table["contrast"].map(contrast_titles(run)))


def _ambient_words(table: pd.DataFrame) -> pd.Series:
    flagged = table["ambient"].fillna(False).astype(bool)
    return flagged.map({True: "; may be ambient", False: ""})


def _producer(gene: str, best: pd.DataFrame, judged: set[str]) -> str:
    if pd.notna(best.loc[gene, "cell_type"]):
        return str(best.loc[gene, "cell_type"])
    return "in no cell beyond ambient" if gene in judged else "not testable"
