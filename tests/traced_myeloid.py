"""Which numbers of the index are about called cells, and which table holds them?"""

import re
from itertools import chain

import pandas as pd

from emhniche.donor_markers import MARKER_LEVEL
from emhniche.gate import naive_threshold
from emhniche.report import words
from emhniche.report.myeloid_gates import MIN_GENES
from stated import N, Tables, close, items, names, p_value, percent


def called(run: Tables, place, n, judged, outside, signature, case, reference, p, q, rest) -> bool:
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
    donor = run.cells["donor"].astype(str).reindex(calls["cell_id"]).to_numpy()
    cases = set(donor[tissue & calls["pathological"].notna().to_numpy()])
    far = tissue & (calls["status"] == "unsupported").to_numpy()
    beyond_reach = sum(one in cases for one in donor[far])
    good = (
        close(n, mark.sum())
        and close(judged, len(mark))
        and (close(outside, beyond_reach) if outside else beyond_reach == 0)
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
            fitting.append(all(map(percent, chain(*numbers), chain(*ends))))
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


def closed(run: Tables, end, where, reason) -> bool:
    """Ask for every place how many signatures share its end, and how far they were."""
    gates = run.read("myeloid/gates.tsv")
    total = gates["signature"].nunique()
    status = {"The gate stayed closed": "tested", "Scores only, no call": "score_only"}
    gates = gates[
        (gates["code"] != "called") & (gates["status"] == status.get(end, "not_testable"))
    ]
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


def nobody(run: Tables, n) -> bool:
    calls = run.read("myeloid/calls.parquet")
    judged = calls.loc[calls["pathological"].notna(), "cell_id"].nunique()
    return close(n, judged)


def only_scored(run: Tables, n) -> bool:
    calls = run.read("myeloid/calls.parquet")
    scored = calls.loc[calls["status"] == "score_only", "cell_id"].nunique()
    return close(n, scored) if n else scored == 0
