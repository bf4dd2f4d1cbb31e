import hashlib
import logging
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest

from emhniche import fetch
from emhniche.errors import InputError
from emhniche.fetch import fetch_file, mirror_folders
from emhniche.paths import fetch_source, file_group, file_name, input_paths
from emhniche.schema import read_schema
from emhniche.sheet import read_registry, read_samples

ROOT = Path(__file__).resolve().parents[1]
CONTENT = bytes(range(256)) * 40
SIZE = len(CONTENT)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """A web server on this machine that fails as it is told to."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.answers = []  # how each request in turn is answered; then "whole"
        self.requests = []  # the Range header of each request, or None
        self.url = f"http://127.0.0.1:{self.server_port}/data/counts.tsv.gz"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        wanted = self.headers["Range"]
        server.requests.append(wanted)
        answer = server.answers.pop(0) if server.answers else "whole"
        if isinstance(answer, int):
            self.send_error(answer)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if answer == "ignore range":
            start = 0
        if start and start >= len(server.content):
            self.send_error(416)
            return
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            total = len(server.content)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:1000] if answer == "break off" else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def waits(monkeypatch):
    """Return the pauses between attempts, without waiting for them."""
    seconds = []
    monkeypatch.setattr(fetch.time, "sleep", seconds.append)
    return seconds


def get(target, server, *, size=SIZE, sha256=SHA256, mirrors=(), retries=3):
    settings = {"retries": retries, "backoff_s": 2, "timeout_s": 5}
    return fetch_file(target, url=server.url, size=size, sha256=sha256, mirrors=mirrors, **settings)


def test_a_file_comes_whole_from_its_url(server, tmp_path):
    assert get(tmp_path / "raw" / "set" / "counts.tsv.gz", server) == SHA256
    assert (tmp_path / "raw" / "set" / "counts.tsv.gz").read_bytes() == CONTENT
    assert os.listdir(tmp_path / "raw" / "set") == ["counts.tsv.gz"]
    assert server.requests == [None]


def test_a_broken_download_goes_on_where_it_broke_off(server, waits, tmp_path):
    server.answers = ["break off", "break off"]
    get(tmp_path / "f", server)
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert server.requests == [None, "bytes=1000-", "bytes=2000-"]
    assert waits == [2, 4]


def test_a_broken_download_of_unknown_size_is_seen_too(server, waits, tmp_path):
    server.answers = ["break off"]
    assert get(tmp_path / "f", server, size=None, sha256=None) == SHA256
    assert server.requests == [None, "bytes=1000-"]


def test_a_server_without_ranges_sends_all_again(server, waits, tmp_path):
    server.answers = ["break off", "ignore range"]
    get(tmp_path / "f", server)
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_server_in_trouble_is_asked_again_after_doubling_pauses(server, waits, tmp_path):
    server.answers = [503, 429, 500]
    get(tmp_path / "f", server)
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert waits == [2, 4, 8]


def test_after_the_last_retry_the_next_run_goes_on(server, waits, tmp_path):
    server.answers = ["break off", "break off"]
    with pytest.raises(InputError, match=r"not downloaded in 2 attempts .*2000 bytes are kept"):
        get(tmp_path / "f", server, retries=1)
    assert not (tmp_path / "f").exists()
    get(tmp_path / "f", server)
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert server.requests[-1] == "bytes=2000-"
    assert os.listdir(tmp_path) == ["f"]


def test_no_server_at_all_is_one_line(waits, tmp_path):
    with Server() as gone:
        pass
    with pytest.raises(InputError, match="not downloaded in 3 attempts") as error:
        get(tmp_path / "f", gone, retries=2)
    assert "\n" not in str(error.value)
    assert waits == [2, 4]


def test_a_url_that_does_not_exist_is_not_retried(server, waits, tmp_path):
    server.answers = [404]
    with pytest.raises(InputError, match="the server says 404"):
        get(tmp_path / "f", server)
    assert len(server.requests) == 1
    assert os.listdir(tmp_path) == []


def test_a_wrong_checksum_names_both_sums_and_leaves_nothing(server, tmp_path):
    wrong = "0" * 64
    with pytest.raises(InputError) as error:
        get(tmp_path / "f", server, sha256=wrong)
    assert SHA256 in str(error.value) and wrong in str(error.value)
    assert os.listdir(tmp_path) == []


def test_a_wrong_size_is_refused_too(server, tmp_path):
    with pytest.raises(InputError, match=f"{len(CONTENT)} bytes .* the registry says 5 bytes"):
        get(tmp_path / "f", server, size=5, sha256=None)
    assert os.listdir(tmp_path) == []


def test_a_stale_rest_of_an_earlier_run_is_replaced(server, tmp_path):
    (tmp_path / ".f.part").write_bytes(b"x" * 3000)
    get(tmp_path / "f", server)
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert server.requests == ["bytes=3000-", None]


def test_a_rest_longer_than_the_file_is_replaced(server, waits, tmp_path):
    (tmp_path / ".f.part").write_bytes(b"x" * (len(CONTENT) + 1))
    assert get(tmp_path / "f", server, size=None) == SHA256
    (tmp_path / ".g.part").write_bytes(b"x" * (len(CONTENT) + 1))
    assert get(tmp_path / "g", server) == SHA256


def test_a_rest_that_is_already_whole_is_not_downloaded_again(server, tmp_path):
    (tmp_path / ".f.part").write_bytes(CONTENT)
    get(tmp_path / "f", server)
    assert server.requests == []


def test_a_mirror_is_used_before_the_url(server, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "f").write_bytes(CONTENT)
    get(tmp_path / "raw" / "f", server, mirrors=[tmp_path / "empty", tmp_path / "full"])
    assert (tmp_path / "raw" / "f").read_bytes() == CONTENT
    assert (tmp_path / "full" / "f").exists()
    assert server.requests == []


def test_a_wrong_file_in_a_mirror_is_named_with_both_sums(server, tmp_path):
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "f").write_bytes(b"other")
    with pytest.raises(InputError) as error:
        get(tmp_path / "raw" / "f", server, mirrors=[tmp_path / "mirror"])
    other = hashlib.sha256(b"other").hexdigest()
    assert all(text in str(error.value) for text in (str(tmp_path / "mirror"), other, SHA256))
    assert os.listdir(tmp_path / "raw") == []
    assert server.requests == []


def test_mirrors_of_the_environment_come_first(tmp_path, caplog):
    for name in "abc":
        (tmp_path / name).mkdir()
    environment = {"EMH_MIRROR": os.pathsep.join([str(tmp_path / "a"), str(tmp_path / "b")])}
    configured = [str(tmp_path / "c"), str(tmp_path / "gone")]
    with caplog.at_level(logging.WARNING):
        assert mirror_folders(configured, environment) == [tmp_path / name for name in "abc"]
    assert "gone: no such mirror folder" in caplog.text
    assert mirror_folders([], {}) == []


REGISTRY = pd.DataFrame(
    {"url": ["https://x.org/1"], "bytes": [5], "sha256": [SHA256]}, index=["a.rda"]
)


def sheet(*rows):
    table = pd.DataFrame(rows, columns=["sample", "dataset", "file", "format"])
    return table.set_index("sample")


def test_registry_files_and_urls_are_fetched_and_paths_stay():
    samples = sheet(("s", "d", "a.rda; https://y.org/get/b%20c.tsv?v=2 ;mine/c.tsv", "rda"))
    assert input_paths(samples.loc["s"], REGISTRY) == [
        "<results>/raw/d/a.rda",
        "<results>/raw/d/b c.tsv",
        "mine/c.tsv",
    ]
    assert file_name("https://y.org/") == "download"
    known = {"url": "https://x.org/1", "size": 5, "sha256": SHA256}
    assert fetch_source("d", "a.rda", samples, REGISTRY) == known
    unknown = {"url": "https://y.org/get/b%20c.tsv?v=2", "size": None, "sha256": None}
    assert fetch_source("d", "b c.tsv", samples, REGISTRY) == unknown


def test_two_files_of_one_name_in_one_dataset_are_refused():
    samples = sheet(
        ("s", "d", "https://x.org/1/counts.gz", "auto"),
        ("t", "d", "https://x.org/2/counts.gz", "auto"),
        ("u", "e", "https://x.org/3/counts.gz", "auto"),
    )
    with pytest.raises(InputError, match=r"2 different files are named 'counts.gz'"):
        fetch_source("d", "counts.gz", samples, REGISTRY)
    assert fetch_source("e", "counts.gz", samples, REGISTRY)["url"].endswith("/3/counts.gz")


def test_samples_of_the_same_files_share_a_group():
    samples = sheet(
        ("s", "d", "/data/a b.rda;m.tsv", "rda"),
        ("t", "d", "/data/a b.rda ; m.tsv", "rda"),
        ("u", "d", "/data/a b.rda;n.tsv", "rda"),
        ("v", "d", "/data/a b.rda;m.tsv", "auto"),
    )
    groups = [file_group(row) for _, row in samples.iterrows()]
    assert groups[0] == groups[1]
    assert len(set(groups)) == 3
    assert all(group.startswith("a_b.rda-") and "/" not in group for group in groups)


def test_the_registry_describes_the_files_in_the_mirror(mirror):
    schema = read_schema(ROOT / "workflow/schemas/datasets.schema.yaml")
    registry = read_registry(ROOT / "resources/datasets.tsv", schema)
    assert len(registry) >= 9
    for name, row in registry.iterrows():
        content = (mirror / name).read_bytes()
        assert len(content) == row["bytes"], name
        assert hashlib.sha256(content).hexdigest() == row["sha256"], name


def test_every_public_sample_names_registry_files():
    schemas = {
        name: read_schema(ROOT / f"workflow/schemas/{name}.schema.yaml")
        for name in ("samples", "datasets")
    }
    samples = read_samples(ROOT / "config/public.tsv", schemas["samples"])
    registry = read_registry(ROOT / "resources/datasets.tsv", schemas["datasets"])
    named = set()
    for _, row in samples.iterrows():
        for path in input_paths(row, registry):
            dataset, name = path.removeprefix("<results>/raw/").split("/")
            assert fetch_source(dataset, name, samples, registry)["sha256"]
            assert registry.loc[name, "dataset"] == dataset
            named.add(name)
    assert named == set(registry.index)
