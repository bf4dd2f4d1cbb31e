"""A sample sheet and a registry are right, or one line says what is wrong with them."""

from pathlib import Path

import pandas as pd
import pytest

from own_project import REGISTRY, SHEET, edit, load, refusal


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("\ttissue", "\ttisue", ["column 'tisue'", "did you mean 'tissue'"]),
        ("\tdonor", "\tDonor ID", ["column 'Donor ID'", "did you mean 'donor'"]),
        ("\tdataset", "\tcohort", ["column 'dataset' is missing", "needs sample, dataset"]),
        ("\tsex", "\tdonor", ["column 'donor': named 2 times"]),
        ("\tsex", "\tlineage", ["column 'lineage'", "pipeline writes it"]),
        ("\tsex", "\t", ["line 1", "no name"]),
        ("s2\t", "s1\t", ["sample 's1'", "named 2 times"]),
        ("s2\t", f"{'s' * 101}\t", [f"sample '{'s' * 101}': sample", "at most 100 letters"]),
        ("s2\t", "s 2\t", ["sample 's 2': sample", "cannot be used", "letters"]),
        ("s2\t", "\t", ["line 3: sample: missing"]),
        ("bone marrow", "bone marow", ["'b1': tissue: 'bone marow'", "did you mean 'bone marrow'"]),
        ("blood", "brain", ["'b2': tissue: 'brain' is not allowed", "spleen"]),
        ("mouse\tblood", "Mus\tblood", ["'b2': species: 'Mus'", "mouse, human"]),
        ("mouse\tblood", "human\tblood", ["'b2': species: human in a run of mouse"]),
        (
            "2\tLPS\tmouse == 2",
            "2\tLPS\tmouse = 2",
            ["'s2': select: 'mouse = 2'", "column == value"],
        ),
        ("local.h5ad", "one.h5", ["'b1': file: 'one.h5'", "did you mean 'one.h5ad'"]),
        ('mouse == 2; gate != "hemato lineages"', "mouse == 1", ["'s2': same file", "'s1'"]),
        ("local.h5ad", "", ["'b1': file: missing", "where the counts are"]),
        ("local.h5ad", ";", ["'b1': file: names no file"]),
        ("m2\tLPS", "m2", ["line 3", "8 fields under 9 columns"]),
    ],
)
def test_a_wrong_sample_sheet_is_refused(project, old, new, parts):
    edit("samples.tsv", old, new)
    message = refusal()
    assert message.startswith("samples.tsv: ")
    assert all(part in message for part in parts), message


def test_a_donor_has_one_sex(project):
    edit("samples.tsv", "m2\tLPS", "m1\tLPS")
    assert load().samples["donor"].tolist() == ["m1", "m1", "unknown:b1", "m3"]
    edit("samples.tsv", '"hemato lineages"\tmale', '"hemato lineages"\tfemale')
    assert "donor 'm1': both male and female" in refusal()


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "empty; the first line must name the columns"),
        (SHEET.splitlines()[0] + "\n", "a header and no row"),
        (SHEET.replace("\t", ","), "separate the columns by tabs"),
    ],
)
def test_what_is_no_table_is_refused(project, text, part):
    Path("samples.tsv").write_text(text, encoding="utf-8")
    assert part in refusal()


def test_a_binary_file_is_no_sheet(project):
    Path("samples.tsv").write_bytes(b"\x89HDF\r\n\x1a\n\xff\xfe")
    assert "not a text table" in refusal()


def with_column(name: str, values: list[str]) -> None:
    """Add a column to the sheet."""
    table = pd.read_csv("samples.tsv", sep="\t", dtype=str, keep_default_na=False)
    table.assign(**{name: values}).to_csv("samples.tsv", sep="\t", index=False)


def test_niche_is_as_given_unless_the_tissue_says_otherwise(project):
    with_column("niche", ["", "", "", "extramedullary"])
    assert load().samples["niche"].tolist()[3] == "extramedullary"
    with_column("niche", ["marrow", "", "", ""])
    assert "sample 's1': niche: 'marrow' contradicts tissue 'spleen'" in refusal()


def test_labels_name_one_column(project):
    with_column("labels", ["cell_type", "", "", ""])
    assert load().samples["labels"].tolist()[0] == "cell_type"
    with_column("labels", ["cell_type == B", "", "", ""])
    assert "sample 's1': labels: 'cell_type == B' is not a column name" in refusal()


def test_batches_that_are_the_tissues_are_refused(project):
    with_column("batch", ["x", "x", "y", "z"])
    message = refusal()
    assert message.startswith("samples.tsv: column 'batch': its groups are the tissues")
    assert "tissue must never be a batch" in message


def test_batches_that_are_the_niches_are_refused(project):
    with_column("batch", ["x", "x", "y", "z"])
    edit("samples.tsv", "spleen\tm1", "liver\tm1")
    assert "its groups are the niches" in refusal()


def test_batches_finer_or_other_than_the_tissues_are_taken(project):
    with_column("batch", ["x", "x", "x", "z"])
    assert load().samples["batch"].tolist() == ["x", "x", "x", "z"]


def test_a_library_alone_in_its_tissue_is_a_batch(project):
    # two libraries, each the only one of its tissue: that batch and tissue coincide is in the data
    lines = SHEET.splitlines(keepends=True)
    Path("samples.tsv").write_text(lines[0] + lines[1] + lines[3], encoding="utf-8")
    assert load().samples["batch"].tolist() == ["s1", "b1"]


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("0f" * 32, "0f" * 31, "file 'one.h5ad': sha256: "),
        ("0f" * 32, "0G" * 32, "64 digits"),
        ("\t1024\t", "\t0\t", "file 'one.h5ad': bytes: 0 is out of range; it must be above 0"),
        ("\t1024\t", "\t1 kB\t", "bytes: '1 kB' is not a whole number"),
        ("https://example.org/one", "example.org/one", "url: 'example.org/one.h5ad' cannot be"),
        ("\tsha256", "\tsha265", "column 'sha265': unknown; did you mean 'sha256'?"),
        ("\tbytes", "\tsize", "column 'bytes' is missing"),
    ],
)
def test_a_malformed_registry_is_refused(project, old, new, part):
    edit("registry.tsv", old, new)
    message = refusal()
    assert message.startswith("registry.tsv: ")
    assert part in message, message


def test_a_file_is_registered_once(project):
    with Path("registry.tsv").open("a", encoding="utf-8") as lines:
        lines.write(REGISTRY.splitlines(keepends=True)[1])
    assert "registry.tsv: file 'one.h5ad': named 2 times" in refusal()
