from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from emhniche.errors import InputError
from emhniche.genes import ERCC, read_aliases, resolve_symbols, sum_by_symbol
from emhniche.io import read_table

RESOURCES = Path(__file__).resolve().parents[1] / "resources"


def resolved(names, aliases=None, species="mouse"):
    table = resolve_symbols(names, aliases or {}, species=species)
    assert table["source_symbol"].tolist() == list(names)
    return dict(zip(table["source_symbol"], table["symbol"], strict=True))


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("Ccl4_ScyA4", "Ccl4"),
        ("FELE-1_Stab1", "Stab1"),
        ("0610007C21Rik_Apr3", "Apr3"),
        ("mKIAA0947_BC018507", "BC018507"),
        ("1110018G07Rik_mKIAA0317", "1110018G07Rik"),
        ("Gm15427_Rpl18a", "Rpl18a"),
        ("Rpl13a-ps1_Rpl13a", "Rpl13a"),
        ("Gm1;Actb", "Actb"),
        ("H2-Aa;AK12345", "H2-Aa"),
        # of two names written as official ones are, the first: see docs/ingest.md
        ("H2afz_H2afv", "H2afz"),
        ("H2afv_H2afz", "H2afv"),
        ("Cd209b_Signr1", "Cd209b"),
    ],
)
def test_a_joined_name_becomes_its_official_part(name, symbol):
    assert resolved([name]) == {name: symbol}


@pytest.mark.parametrize(
    "name",
    ["tdT-WPRE_trans", "CreER-WPRE_trans", "AK004252_AK039760", "mCG_2776", "H2-K1", "mt-Nd1"],
)
def test_a_name_without_an_official_part_stays(name):
    assert resolved([name]) == {name: name}


def test_human_symbols_are_written_otherwise():
    names = ["CCL4;LOC123", "ccl4_CCL4", "C1orf112;AC00001", "HLA-DRA"]
    assert list(resolved(names, species="human").values()) == [
        "CCL4",
        "CCL4",
        "C1orf112",
        "HLA-DRA",
    ]


def test_aliases_go_before_rules_and_also_into_parts():
    aliases = {"Il1f9": "Il36g", "Dgat_Dgat1": "Dgat1", "Pak1_Pak2": "Pak1_Pak2"}
    names = ["Il1f9", "Dgat_Dgat1", "Pak1_Pak2", "Il1f9_Il36g", "AK1_Il1f9", "Actb"]
    table = resolve_symbols(names, aliases, species="mouse")
    symbols = ["Il36g", "Dgat1", "Pak1_Pak2", "Il36g", "Il36g", "Actb"]
    assert table["symbol"].tolist() == symbols
    rules = ["alias", "alias", "joined_left", "joined", "joined", "same"]
    assert table["rule"].tolist() == rules


def test_a_copy_that_r_made_unique_is_the_gene_itself():
    names = ["Itgam", "Itgam.1", "AC123.1", "Nkx2-5", "Il1f9", "Il1f9.2"]
    symbols = resolved(names, {"Il1f9": "Il36g"})
    assert symbols["Itgam.1"] == "Itgam"
    assert symbols["AC123.1"] == "AC123.1"
    assert symbols["Il1f9.2"] == "Il36g"


def test_columns_of_equal_symbol_are_added_up():
    counts = sparse.csr_matrix(np.array([[1, 2, 4], [0, 8, 16]], dtype=np.float32))
    summed, symbols, columns = sum_by_symbol(counts, ["B", "A", "B"])
    assert symbols.tolist() == ["B", "A"]
    assert summed.toarray().tolist() == [[5, 2], [16, 8]]
    assert columns.tolist() == [0, 1, 0]


def test_spike_ins_are_told_from_genes():
    names = ["ERCC-00130", "ERCC_00002", "Ercc1", "ERCC1", "ERCC6L2"]
    assert [bool(ERCC.fullmatch(name)) for name in names] == [True, True, False, False, False]


def write(path, *rows):
    path.write_text("\n".join("\t".join(row) for row in rows) + "\n")
    return path


def test_a_bad_alias_table_is_refused(tmp_path):
    head = ("alias", "symbol", "species", "source")
    path = tmp_path / "aliases.tsv"
    with pytest.raises(InputError, match="no column species, source"):
        read_aliases(write(path, ("alias", "symbol"), ("A", "B")), "mouse")
    with pytest.raises(InputError, match="alias 'A' stands twice"):
        read_aliases(write(path, head, ("A", "B", "mouse", ""), ("A", "C", "mouse", "")), "mouse")
    with pytest.raises(InputError, match="alias 'A' leads to 'B', itself an alias of 'C'"):
        read_aliases(write(path, head, ("A", "B", "mouse", ""), ("B", "C", "mouse", "")), "mouse")
    write(path, head, ("A", "B", "mouse", ""), ("A", "C", "human", ""))
    assert read_aliases(path, "human") == {"A": "C"}


@pytest.mark.parametrize("species", ["mouse", "human"])
def test_no_alias_renames_a_gene_that_the_resources_name(species):
    aliases = read_aliases(RESOURCES / "aliases.tsv", species)
    panel = read_table(RESOURCES / "panel.tsv")
    wanted = set(panel[f"{species}_symbol"].dropna())
    for name in ("signatures", "lineages"):
        table = read_table(RESOURCES / f"{name}.tsv")
        for genes in table.loc[table["species"] == species, "genes"].dropna():
            wanted |= set(genes.split(";"))
    assert len(wanted) > 100
    assert not wanted & {alias for alias, symbol in aliases.items() if alias != symbol}


def test_the_old_names_of_panel_genes_are_known():
    mouse = read_aliases(RESOURCES / "aliases.tsv", "mouse")
    pairs = {
        "Il1f5": "Il36rn",
        "Il1f6": "Il36a",
        "Il1f8": "Il36b",
        "Il1f9": "Il36g",
        "Cxcr7": "Ackr3",
        "Darc": "Ackr1",
    }
    assert {old: mouse[old] for old in pairs} == pairs
    human = read_aliases(RESOURCES / "aliases.tsv", "human")
    assert (human["IL8"], human["IL1F9"]) == ("CXCL8", "IL36G")
    assert pd.Series(list(mouse.values())).str.len().min() > 1
