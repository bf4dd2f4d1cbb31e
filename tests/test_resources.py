"""The gene tables are sound, and the readers refuse tables that are not."""

from pathlib import Path

import pandas as pd
import pytest

from emhniche.errors import InputError
from emhniche.resources import (
    SIDES,
    check_panel_measured,
    load_ligand_receptor,
    load_lineages,
    load_panel,
    load_signatures,
    without_panel,
)

RESOURCES = Path(__file__).parents[1] / "resources"
PANEL = RESOURCES / "panel.tsv"
SIGNATURES = RESOURCES / "signatures.tsv"
LINEAGES = RESOURCES / "lineages.tsv"
PAIRS = RESOURCES / "ligand_receptor.tsv"
SPECIES = ("mouse", "human")


def edited(source, target, edit):
    """Write `source` to `target` after `edit` changed its table (all text, rows as in the file)."""
    table = pd.read_csv(source, sep="\t", dtype=str, keep_default_na=False)
    edit(table).to_csv(target / source.name, sep="\t", index=False)
    return target / source.name


def setting(**columns):
    """Make an edit that sets columns of the first row that `where` (a column: value) selects."""
    (key, value), *changes = columns.items()

    def edit(table):
        row = table.index[table[key] == value][0]
        for column, new in changes:
            table.loc[row, column] = new
        return table

    return edit


def sides(panel, axis):
    rows = panel[panel["axis"] == axis]
    return {side: set(rows["gene"][rows["role"].isin(roles)]) for side, roles in SIDES.items()}


@pytest.mark.parametrize("species", SPECIES)
def test_every_table_of_the_project_passes(species):
    panel = load_panel(PANEL, species)
    assert len(panel) > 60
    assert load_signatures(SIGNATURES, species)["set"].nunique() > 30
    assert load_lineages(LINEAGES, species)["lineage"].nunique() == 16
    assert len(load_ligand_receptor(PAIRS, species, panel)) > 30


def test_the_panel_names_the_axes_of_the_review():
    panel = load_panel(PANEL, "mouse")
    core = panel[panel["tier"] == "core"]
    assert set(core["axis"]) == {"KIT", "CXCL12", "G-CSF", "IL-1", "LIF", "TNF", "CXCR2"}
    assert {"Kitl", "Cxcl12", "Csf3", "Il1a", "Il1b", "Lif", "Tnf", "Cxcr2"} <= set(core["gene"])


@pytest.mark.parametrize("species", SPECIES)
def test_antagonists_and_decoys_are_never_among_agonists_or_receptors(species):
    panel = load_panel(PANEL, species)
    against = {"IL1RN", "IL1R2", "IL36RN", "IL1F10", "SIGIRR", "IL18BP", "ACKR3", "ACKR1"}
    rows = panel[panel["human_symbol"].isin(against)]
    assert set(rows["human_symbol"]) == against
    assert rows["role"].isin(SIDES["antagonist"]).all()
    il1 = sides(panel, "IL-1")
    assert not il1["agonist"] & il1["antagonist"]
    assert not il1["receptor"] & il1["antagonist"]


def test_orthologs_that_do_not_exist_are_empty():
    mouse, human = load_panel(PANEL, "mouse"), load_panel(PANEL, "human")
    assert not {"CXCL8", "IL37"} & set(mouse["gene"].str.upper())
    assert {"CXCL8", "IL37"} <= set(human["gene"])
    assert "Cxcl15" in set(mouse["gene"])
    assert "CXCL15" not in set(human["gene"])
    assert mouse.set_index("gene").at["Cxcl5", "human_symbol"] == "CXCL6"
    alone = pd.concat([mouse, human]).query("human_symbol == '' or mouse_symbol == ''")
    assert (alone["ortholog_in_ensembl"] == "none").all()


def test_species_specific_markers_stay_in_their_species():
    mouse, human = load_signatures(SIGNATURES, "mouse"), load_signatures(SIGNATURES, "human")
    pathological = mouse["class"].str.startswith("pathological")
    assert "Olr1" not in mouse["genes"][pathological].explode().tolist()
    assert "OLR1" in human["genes"].explode().tolist()
    assert not {"WFDC17", "NGP", "IFITM6"} & set(human["genes"].explode())


@pytest.mark.parametrize("species", SPECIES)
def test_markers_that_name_cells_hold_no_panel_gene_and_keep_their_others(species):
    panel = load_panel(PANEL, species)
    one = panel["gene"].iloc[0]
    lineages = load_lineages(LINEAGES, species)
    named = without_panel(lineages.assign(genes=lineages["genes"].map(lambda g: (*g, one))), panel)
    assert not set(named["genes"].explode()) & set(panel["gene"])
    row = named[(named["cell_type"] == "LepR_CAR_MSC") & (named["polarity"] == "positive")]
    assert {"LEPR", "ADIPOQ", "FOXC1"} <= {gene.upper() for gene in row["genes"].iloc[0]}


@pytest.mark.parametrize("species", SPECIES)
def test_every_core_ligand_has_a_pair_and_il1rn_binds_il1r1(species):
    panel = load_panel(PANEL, species)
    pairs = load_ligand_receptor(PAIRS, species, panel)
    core = panel[(panel["tier"] == "core") & panel["role"].isin(["ligand", "antagonist"])]
    assert set(core["gene"]) <= set(pairs["ligand"])
    ra = pairs[pairs["ligand"].str.upper() == "IL1RN"]
    assert ra["receptor"].str.upper().tolist() == ["IL1R1"]
    assert ra["sign"].tolist() == ["antagonist"]
    lif = pairs[pairs["ligand"].str.upper() == "LIF"].iloc[0]
    assert [gene.upper() for gene in lif["coreceptor"]] == ["IL6ST"]


def test_niche_sets_of_one_name_in_two_tissues_are_told_apart():
    names = set(load_signatures(SIGNATURES, "mouse")["set"])
    assert {"EC_sinusoidal_marrow", "EC_sinusoidal_spleen"} <= names
    assert "EC_sinusoidal" not in names


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.drop(columns="role"), "panel.tsv: column role is missing"),
        (lambda t: t.head(0), "panel.tsv: no row below the header"),
        (setting(mouse_symbol="Kitl", role="helper"), "row 2: role 'helper' is unknown"),
        (setting(mouse_symbol="Kitl", tier="top"), "row 2: tier 'top' is unknown"),
        (setting(mouse_symbol="Kitl", axis=" "), "row 2: axis is empty"),
        (setting(mouse_symbol="Kit", axis="kit"), "row 3: axis 'kit' is written 'KIT' further up"),
        (setting(human_symbol="KIT", mouse_symbol="KIT"), "row 3: gene KIT is spelled as in human"),
        (setting(mouse_symbol="Kit", human_symbol="Kit"), "row 3: gene Kit is spelled as in mouse"),
        (setting(human_symbol="CXCL8", mouse_symbol="Cxcl8"), "Cxcl8 does not exist in mouse"),
        (setting(mouse_symbol="Cxcl15", human_symbol="CXCL15"), "CXCL15 does not exist in human"),
        (setting(human_symbol="KIT", mouse_symbol="Kitl"), "row 3: Kitl is there twice"),
        (setting(human_symbol="IL37", mouse_symbol="Il1x"), "ortholog_in_ensembl is 'none'"),
        (setting(human_symbol="KIT", mouse_symbol=""), "mouse_ensembl ENSMUSG00000005672 has no"),
    ],
)
def test_a_panel_with_a_mistake_is_refused(tmp_path, edit, message):
    path = edited(PANEL, tmp_path, edit)
    with pytest.raises(InputError) as error:
        load_panel(path, "mouse")
    assert message in str(error.value)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.rename(columns={"genes": "gene"}), "column genes is missing"),
        (setting(set="GMP", genes="Mpo;;Elane"), "row 6 (GMP): gene '' is blank"),
        (setting(set="GMP", genes="Mpo; Elane"), "gene ' Elane' is no symbol; separate symbols by"),
        (setting(set="GMP", genes="Mpo,Elane"), "gene 'Mpo,Elane' is no symbol; separate symbols"),
        (setting(set="GMP", genes="Mpo;"), "gene '' is blank; put one ';' between symbols, none"),
        (setting(set="GMP", genes="Mpo;Mpo"), "gene Mpo is there twice"),
        (setting(set="GMP", genes="Mpo;ELANE"), "gene ELANE is spelled as in human"),
        (setting(set="GMP", polarity="up"), "polarity 'up' is unknown"),
        (setting(set="GMP", species="rat"), "species 'rat' is unknown"),
        (setting(set="GMP", tissue="lung"), "tissue 'lung' is unknown"),
        (setting(set="PMN_MDSC_splenic", genes="Cd84;Olr1"), "Olr1 marks pathological"),
        (lambda t: pd.concat([t, t.tail(1)]), "must be unique together"),
    ],
)
def test_signatures_with_a_mistake_are_refused(tmp_path, edit, message):
    path = edited(SIGNATURES, tmp_path, edit)
    with pytest.raises(InputError) as error:
        load_signatures(path, "mouse")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("read", [load_signatures, load_lineages, load_ligand_receptor])
def test_a_table_without_a_row_of_the_species_is_refused(tmp_path, read):
    source = {load_signatures: SIGNATURES, load_lineages: LINEAGES}.get(read, PAIRS)
    path = edited(source, tmp_path, lambda t: t[t["species"] == "human"])
    panel = [load_panel(PANEL, "mouse")] if read is load_ligand_receptor else []
    with pytest.raises(InputError) as error:
        read(path, "mouse", *panel)
    assert str(error.value) == (
        f"{path}: no row of mouse, which the samples are of; it has rows of human only"
    )


def test_a_panel_without_a_gene_of_the_species_is_refused(tmp_path):
    human = edited(PANEL, tmp_path, lambda t: t[t["mouse_symbol"] == ""])
    with pytest.raises(InputError, match="no row has a mouse_symbol"):
        load_panel(human, "mouse")


def test_a_gene_outside_a_replaced_panel_points_to_the_pairs(tmp_path):
    panel = load_panel(edited(PANEL, tmp_path, lambda t: t[t["axis"] != "TNF"]), "mouse")
    with pytest.raises(InputError, match=r"or name your own resources\.ligand_receptor$"):
        load_ligand_receptor(PAIRS, "mouse", panel)


def test_mouse_histocompatibility_genes_are_not_taken_for_human(tmp_path):
    path = edited(SIGNATURES, tmp_path, setting(set="GMP", genes="H2-K1;H2-Aa;C3"))
    rows = load_signatures(path, "mouse").set_index(["set", "polarity"])
    assert rows.at[("GMP", "positive"), "genes"] == ("H2-K1", "H2-Aa", "C3")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda line: line + "\tmore", "row 3 has 13 fields, 12 are needed"),
        (lambda line: line.replace("\t", "", 1), "row 3 has 11 fields, 12 are needed"),
    ],
)
def test_a_row_of_another_width_than_the_header_is_refused(tmp_path, change, message):
    header, first, second, *rest = PANEL.read_text(encoding="utf-8").splitlines()
    lines = [header, first, change(second), *rest]
    (tmp_path / "panel.tsv").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        load_panel(tmp_path / "panel.tsv", "mouse")


def test_rows_are_named_by_their_line_although_blank_lines_are_skipped(tmp_path):
    header, first, *rest = PANEL.read_text(encoding="utf-8").splitlines()
    lines = [header, "", first.replace("ligand", "helper"), *rest]
    (tmp_path / "panel.tsv").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(InputError, match=r"panel\.tsv: row 3: role 'helper' is unknown"):
        load_panel(tmp_path / "panel.tsv", "mouse")


def test_a_table_separated_by_commas_is_refused_as_such(tmp_path):
    text = PANEL.read_text(encoding="utf-8").replace(",", " ").replace("\t", ",")
    (tmp_path / "panel.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"not tab-separated, its header is one column 'axis,"):
        load_panel(tmp_path / "panel.tsv", "mouse")


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    lines = PANEL.read_text(encoding="utf-8").splitlines()
    doubled = "\n".join(f"{line}\t{line.split(chr(9))[0]}" for line in lines)
    (tmp_path / "panel.tsv").write_text(doubled, encoding="utf-8")
    with pytest.raises(InputError, match="column 'axis' is there twice"):
        load_panel(tmp_path / "panel.tsv", "mouse")


def test_an_unknown_lineage_is_refused(tmp_path):
    path = edited(LINEAGES, tmp_path, lambda t: t.assign(lineage="Tcell"))
    with pytest.raises(InputError, match="lineage 'Tcell' is unknown; it would be one of B, "):
        load_lineages(path, "mouse")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (setting(ligand="Kitl", receptor="Fgfr1"), "Fgfr1 is not in the mouse panel; add it"),
        (setting(receptor="Il6ra", coreceptor="Il6st;"), "gene '' is blank; put one ';' between"),
        (setting(receptor="Il6ra", coreceptor="Il6st;Il6st"), "gene Il6st is there twice"),
        (setting(ligand="Kitl", axis="LIF"), "axis 'LIF' is not the ligand's; it would be 'KIT'"),
        (setting(ligand="Il1rn", sign="agonist"), "Il1rn is 'antagonist' in the panel"),
        (setting(ligand="Kitl", receptor="Il1r2"), "Il1r2 is 'decoy_receptor' in the panel"),
        (setting(ligand="Kitl", sign="+"), "sign '+' is unknown"),
    ],
)
def test_pairs_that_do_not_fit_the_panel_are_refused(tmp_path, edit, message):
    path = edited(PAIRS, tmp_path, edit)
    with pytest.raises(InputError) as error:
        load_ligand_receptor(path, "mouse", load_panel(PANEL, "mouse"))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_further_column_is_no_mistake(tmp_path):
    path = edited(PANEL, tmp_path, lambda t: t.assign(reviewer="us"))
    assert set(load_panel(path, "mouse")["reviewer"]) == {"us"}


def test_data_without_any_panel_gene_are_refused():
    panel = load_panel(PANEL, "mouse")
    check_panel_measured(panel, ["Actb", "Kit"])
    with pytest.raises(InputError) as error:
        check_panel_measured(panel, ["ENSMUSG00000005672", "ENSMUSG00000019966"])
    assert str(error.value).startswith("panel.tsv: none of its 67 mouse genes is in the data;")
    with pytest.raises(InputError, match="no gene at all"):
        check_panel_measured(panel, [])


def test_a_missing_or_unreadable_table_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_panel(tmp_path / "panel.tsv", "mouse")
    (tmp_path / "panel.tsv").write_text("")
    with pytest.raises(InputError, match=r"/panel\.tsv: it is empty; its columns would be axis, "):
        load_panel(tmp_path / "panel.tsv", "mouse")
    (tmp_path / "panel.tsv").write_bytes(b"axis\t\xff")
    with pytest.raises(InputError, match=r"/panel\.tsv: not a tab-separated table .*UTF-8"):
        load_panel(tmp_path / "panel.tsv", "mouse")
    with pytest.raises(InputError, match="'rat' is unknown"):
        load_panel(PANEL, "rat")
