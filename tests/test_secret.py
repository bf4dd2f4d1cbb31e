"""What opens a door is refused before it could be written anywhere."""

import pandas as pd
import pytest

from emhniche.errors import InputError
from emhniche.secret import refuse_secret
from emhniche.sheet import check_files

OPEN = [
    "https://ftp.ncbi.nlm.nih.gov/geo/samples/GSM2906nnn/GSM2906471/suppl/counts.txt.gz",
    "https://www.ncbi.nlm.nih.gov/geo/download/?acc=GSE1&format=file&file=a%2Ekeys.gz",
    "https://zenodo.org/records/1/files/a.h5ad?download=1",
    "counts/token=1/a.tsv.gz",
    "",
]
SECRET = [
    "https://me:hunter2@example.org/a.h5ad",
    "https://zenodo.org/records/1/files/a.h5ad?download=1&token=hunter2",
    "https://b.s3.amazonaws.com/a.h5ad?X-Amz-Date=1&X-Amz-Signature=hunter2",
    "https://b.blob.core.windows.net/c/a.h5ad?sv=1&sig=hunter2",
    "https://example.org/a.h5ad?api_key=hunter2",
    "https://figshare.com/a.h5ad?private_link=hunter2",
    "https://www.dropbox.com/scl/fi/1/a.h5ad?rlkey=hunter2&dl=1",
]


@pytest.mark.parametrize("url", OPEN)
def test_what_anyone_may_fetch_is_let_through(url):
    refuse_secret(url, "samples.tsv")


def test_a_url_that_cannot_be_read_is_refused_in_one_line():
    with pytest.raises(InputError, match=r"^samples\.tsv: a url whose host cannot be read"):
        refuse_secret("https://[host/x.h5", "samples.tsv")


@pytest.mark.parametrize("url", SECRET)
def test_a_secret_is_refused_and_not_repeated(url):
    samples = pd.DataFrame({"file": [url]}, index=["one"])
    with pytest.raises(InputError, match="carries a secret") as error:
        check_files("samples.tsv", samples, pd.DataFrame(index=pd.Index([], name="file")))
    said = str(error.value)
    assert said.startswith("samples.tsv: sample 'one': file: ")
    assert "hunter2" not in said
    assert "\n" not in said
