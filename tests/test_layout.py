"""The map on a GPU, with a stand-in for cuML: nothing here needs a GPU, or shows that one works."""

import importlib.util
import inspect
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import yaml
from anndata import AnnData
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from sklearn.neighbors import NearestNeighbors
from umap.umap_ import simplicial_set_embedding

from emhniche.errors import InputError
from emhniche.gpu_layout import lay_out_on_device
from emhniche.graph import neighbor_graph
from emhniche.layout import lay_out
from emhniche.rapids import require_cuml
from small_project import CONFIG, make_project
from workflow import snakemake

STANDIN = Path(__file__).with_name("standin_cuml")
SIGNATURE = (
    "(data, graph, n_components=2, initial_alpha=1.0, a=None, b=None, gamma=1.0, "
    "negative_sample_rate=5, n_epochs=None, init='spectral', random_state=None, "
    "force_serial_epochs=None, metric='euclidean', metric_kwds=None, output_metric='euclidean', "
    "output_metric_kwds=None, verbose=False)"
)
"""What ``inspect.signature`` says of the function in cuML 26.10 (package ``cuml-cu13``)."""

NO_DRIVER = "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime"


@pytest.fixture(scope="module")
def planted():
    """Three groups, with cells between them, so that the graph hangs together."""
    rng = np.random.default_rng(1)
    truth = np.repeat([0, 1, 2], [250, 200, 150])
    centres = rng.normal(0, 4, (3, 8))
    points = centres[truth] + rng.normal(size=(600, 8))
    points[::50] = (centres[truth] + centres[(truth + 1) % 3])[::50] / 2
    latent = pd.DataFrame(points, columns=[f"dim_{number}" for number in range(8)])
    latent.insert(0, "cell_id", [f"s:{number}" for number in range(600)])
    graph = neighbor_graph(points, n_neighbors=15)
    assert connected_components(graph)[0] == 1
    return latent, truth, graph


@pytest.fixture(scope="module")
def on_cpu(planted):
    latent, _, graph = planted
    return lay_out(latent, graph, accelerator="cpu", seed=3)


def forget(monkeypatch):
    """Let nothing remember an earlier import."""
    for name in [one for one in sys.modules if one.split(".")[0] in ("cuml", "cupy")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.fixture
def cuml(monkeypatch):
    """cuML's stand-in, which can be imported; the real one is not looked for."""
    forget(monkeypatch)
    monkeypatch.syspath_prepend(STANDIN)
    import cuml.manifold.umap

    yield cuml.manifold.umap
    forget(monkeypatch)


def fails_with(monkeypatch, cuml, error):
    """Let the layout on the device raise an error."""

    def embed(data, graph, force_serial_epochs=None, **settings):
        raise error

    monkeypatch.setattr(cuml, "simplicial_set_embedding", embed)


def refusal(planted, accelerator="cuda"):
    latent, _, graph = planted
    with pytest.raises(InputError) as error:
        lay_out(latent, graph, accelerator=accelerator, seed=0)
    said = str(error.value)
    assert "\n" not in said and said.startswith("config: cluster.layout_accelerator: cuda ")
    assert said.endswith(("use cpu", "or mend the device", "update it"))
    return said


def test_the_map_of_the_cpu_is_scanpy_s(planted, on_cpu):
    latent, _, graph = planted
    cells = AnnData(np.zeros((600, 0)), obsm={"X": latent.iloc[:, 1:].to_numpy(np.float32)})
    cells.obsp["connectivities"] = graph
    cells.uns["neighbors"] = {
        "connectivities_key": "connectivities",
        "params": {"method": "umap", "use_rep": "X"},
    }
    sc.tl.umap(cells, random_state=3)
    assert on_cpu["cell_id"].equals(latent["cell_id"])
    assert plane(on_cpu).tobytes() == cells.obsm["X_umap"].tobytes()


def test_the_stand_in_has_the_signature_of_cuml(cuml):
    assert str(inspect.signature(cuml.simplicial_set_embedding)) == SIGNATURE


def test_what_cuml_is_given_is_all_that_decides_the_map_of_the_cpu(
    planted, on_cpu, cuml, monkeypatch
):
    """umap-learn, given the same and told to begin by itself, makes the CPU's map bit by bit."""
    latent, _, graph = planted
    given, embed = {}, cuml.simplicial_set_embedding

    def kept(data, graph, force_serial_epochs=None, **settings):
        given.update(settings, data=data, graph=graph, serial=force_serial_epochs)
        return embed(data, graph, force_serial_epochs=force_serial_epochs, **settings)

    monkeypatch.setattr(cuml, "simplicial_set_embedding", kept)
    lay_out(latent, graph, accelerator="cuda", seed=3)
    assert given.pop("serial") is True
    assert (given["graph"].tocsr() != graph).nnz == 0
    begun, seed = given.pop("init"), given.pop("random_state")
    own = {"metric": "euclidean", "metric_kwds": {}, "densmap": False, "densmap_kwds": {}}
    own |= {"output_dens": False, "init": "spectral"}
    place, _ = simplicial_set_embedding(**given, **own, random_state=np.random.RandomState(seed))
    assert place.tobytes() == plane(on_cpu).tobytes()
    unmoved = {**given, "n_epochs": 0}
    start, _ = simplicial_set_embedding(**unmoved, **own, random_state=np.random.RandomState(seed))
    assert begun.tobytes() == start.tobytes()


@pytest.mark.parametrize(("n_cells", "epochs"), [(10_000, 500), (10_001, 200)])
def test_as_many_passes_are_made_as_on_the_cpu(cuml, monkeypatch, n_cells, epochs):
    asked = []

    def embed(data, graph, **settings):
        asked.append(settings["n_epochs"])
        return data

    line = sparse.diags([1.0, 1.0], [-1, 1], shape=(n_cells, n_cells), format="csr")
    points = np.zeros((n_cells, 2))
    lay_out_on_device(embed, points, line, start=points, curve=(1.0, 1.0), seed=0)
    assert asked == [epochs]


def test_the_map_of_a_gpu_keeps_groups_and_neighbours_and_looks_like_the_cpu_s(
    planted, on_cpu, cuml
):
    latent, truth, graph = planted
    place, again = (lay_out(latent, graph, accelerator="cuda", seed=3) for _ in range(2))
    assert place.equals(again)
    assert place.dtypes.astype(str).tolist()[1:] == ["float32", "float32"]
    there, before = plane(place), plane(on_cpu)
    pure = np.ones(len(truth), dtype=bool)
    pure[::50] = False
    centres = np.array([there[truth == group].mean(axis=0) for group in range(3)])
    nearest = np.linalg.norm(there[:, None] - centres, axis=2).argmin(axis=1)
    assert (nearest == truth)[pure].mean() > 0.98
    assert kept_neighbours(there, graph) > 0.9 * kept_neighbours(before, graph)
    for axis in (0, 1):
        assert np.corrcoef(there[:, axis], before[:, axis])[0, 1] > 0.9


def plane(place):
    return place[["umap_1", "umap_2"]].to_numpy()


def kept_neighbours(place, graph):
    """Return the share of each cell's 14 nearest on the map that are its neighbours."""
    _, rows = NearestNeighbors(n_neighbors=15).fit(place).kneighbors(place)
    return np.mean([graph[one, others[1:]].astype(bool).mean() for one, others in enumerate(rows)])


def test_without_cuml_nothing_begins(planted, monkeypatch):
    forget(monkeypatch)
    monkeypatch.setitem(sys.modules, "cuml", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "needs RAPIDS cuML, which is not installed here" in refusal(planted)
    with pytest.raises(InputError, match=r"image or conda environment \(docs/gpu\.md\)"):
        require_cuml()
    latent, _, graph = planted
    lay_out(latent, graph, accelerator="cpu", seed=0)


def test_a_cuml_that_is_broken_or_too_old_is_named(planted, cuml, monkeypatch):
    def embed(data, graph, init="spectral", random_state=None, convert_dtype=True):
        raise AssertionError("must not be called")

    monkeypatch.setattr(cuml, "simplicial_set_embedding", embed)
    assert "needs cuML 26.10 or newer, and 26.10.00 is here" in refusal(planted)
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert "cannot be imported here (import of cupy halted" in refusal(planted)


def no_driver():
    raise RuntimeError(NO_DRIVER)


@pytest.mark.parametrize(("count", "why"), [(lambda: 0, ""), (no_driver, f" ({NO_DRIVER})")])
def test_without_a_device_nothing_begins(planted, cuml, monkeypatch, count, why):
    import cupy

    runtime = SimpleNamespace(getDeviceCount=count)
    monkeypatch.setattr(cupy, "cuda", SimpleNamespace(runtime=runtime))
    fails_with(monkeypatch, cuml, AssertionError("must not be called"))
    said = refusal(planted)
    assert f"is asked for and this machine shows no device{why}; use cpu" in said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError("std::bad_alloc: out_of_memory: CUDA error at: rmm\nmore"), "out_of_memory"),
        (MemoryError("Out of memory allocating 8,000 bytes (allocated so far: 0)."), "8,000 bytes"),
        (RuntimeError("cudaErrorIllegalAddress: an illegal memory access"), "illegal memory"),
    ],
)
def test_a_device_that_fails_ends_in_one_line(planted, cuml, monkeypatch, error, said):
    fails_with(monkeypatch, cuml, error)
    assert f"cuda failed ({str(error).splitlines()[0]}); use cpu" in refusal(planted)
    assert said in refusal(planted)


def test_a_mistake_of_ours_is_no_failure_of_the_device(planted, cuml, monkeypatch):
    latent, _, graph = planted
    fails_with(monkeypatch, cuml, ValueError("a mistake of ours"))
    with pytest.raises(ValueError, match="a mistake of ours"):
        lay_out(latent, graph, accelerator="cuda", seed=0)


@pytest.mark.workflow
def test_a_run_without_cuml_ends_before_its_first_job_unless_an_image_may_have_it(tmp_path):
    folder = make_project(tmp_path)
    settings = CONFIG | {"cluster": {"layout_accelerator": "cuda"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    if not importlib.util.find_spec("cuml"):
        refused = snakemake(folder, "-n")
        assert refused.returncode == 1
        assert refused.stderr.splitlines()[-1].startswith(
            "error: config: cluster.layout_accelerator: cuda needs RAPIDS cuML"
        )
    assert "needs RAPIDS" not in snakemake(folder, "-n", "--sdm", "apptainer").stderr
    planned = snakemake(folder, "-n", PYTHONPATH=str(STANDIN))
    assert planned.returncode == 0, planned.stderr[-4000:]
    assert "rule cluster_layout" in planned.stdout + planned.stderr
