"""A device that fails, simulated: nothing here needs a GPU, or shows that one works."""

import logging

import numpy as np
import pytest
import torch
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from emhniche import devices
from emhniche.devices import batch_size_for, device_failure, pick_accelerator, train_on_device
from emhniche.errors import InputError
from planted import library

SETTINGS = {
    "accelerator": "auto",
    "devices": 1,
    "precision": "auto",
    "batch_size": 128,
    "max_batch_size": 512,
    "cpu_after_failure": True,
    "cell_visits": 2_000_000,
    "n_genes": 2000,
}
OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")
NO_DRIVER = RuntimeError("CUDA error: unspecified launch failure\nCompile with ...")
SCVI = {
    "method": "scvi",
    "n_latent": 4,
    "batch_key": "batch",
    "seed": 0,
    "threads": 1,
    "n_hidden": 16,
    "n_layers": 1,
    "epochs": 15,
    "min_cell_visits": 1,
    "kl_ramp": 2.0,
    "peak_rate": 0.008,
    "devices": 1,
    "batch_size": 32,
    "max_batch_size": 64,
    "cpu_after_failure": True,
    "precision": "auto",
}


@pytest.fixture
def gpu(monkeypatch):
    """A machine that shows a CUDA device of 8 GB."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Made-up GPU")
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 3 * 2**20)
    monkeypatch.setattr(devices, "free_memory", lambda used: 8 * 2**30)
    monkeypatch.setattr(devices, "_computes_bf16", lambda: True)


def failing(tried, error, fits=0):
    """Return a training that fails on a GPU unless a step has at most `fits` cells."""

    def train(place):
        tried.append((place.used, place.precision, place.batch_size))
        if place.used == "cuda" and place.batch_size > fits:
            raise error
        return np.ones((2, 2))

    return train


def test_a_gpu_takes_more_cells_in_half_of_the_bits(gpu):
    tried = []
    _, device = train_on_device(failing(tried, None, fits=9999), **SETTINGS)
    assert tried == [("cuda", "bf16", 512)]
    assert device["used"] == "cuda"
    assert device["name"] == "Made-up GPU"
    assert device["peak_memory_mb"] == 3
    assert device["fell_back"] is None
    tried.clear()
    train_on_device(failing(tried, None, 9999), **SETTINGS | {"precision": "full"})
    train_on_device(failing(tried, None, 9999), **SETTINGS | {"accelerator": "cpu"})
    assert tried == [("cuda", "full", 512), ("cpu", "full", 128)]


def test_out_of_memory_halves_the_cells_a_step(gpu, caplog):
    tried = []
    space, device = train_on_device(failing(tried, OUT_OF_MEMORY, fits=256), **SETTINGS)
    assert [size for *_, size in tried] == [512, 256]
    assert np.isfinite(space).all()
    assert (device["used"], device["batch_size"], device["fell_back"]) == ("cuda", 256, None)
    assert "cuda failed with 512 cells a step: CUDA out of memory" in caplog.text


def test_a_gpu_that_is_too_small_leaves_the_work_to_the_cpu(gpu, caplog):
    tried = []
    _, device = train_on_device(failing(tried, OUT_OF_MEMORY), **SETTINGS)
    assert [used for used, *_ in tried] == ["cuda", "cuda", "cuda", "cpu"]
    assert tried[-1] == ("cpu", "full", 128)
    assert (device["asked_for"], device["used"]) == ("auto", "cpu")
    assert device["fell_back"] == "CUDA out of memory. Tried to allocate 2.00 GiB."
    assert "training begins again on the CPU" in caplog.text
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_a_broken_driver_is_asked_once(gpu):
    tried = []
    _, device = train_on_device(failing(tried, NO_DRIVER), **SETTINGS)
    assert [used for used, *_ in tried] == ["cuda", "cpu"]
    assert device["fell_back"] == "CUDA error: unspecified launch failure"


def test_the_cpu_can_be_forbidden(gpu):
    with pytest.raises(InputError, match="cpu_after_failure: cuda failed") as error:
        train_on_device(failing([], NO_DRIVER), **SETTINGS | {"cpu_after_failure": False})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("error", [ValueError("counts"), InputError("CUDA genes"), KeyError("x")])
def test_an_error_of_ours_is_no_failure_of_the_device(gpu, error):
    assert device_failure(error) is None
    tried = []
    with pytest.raises(type(error)):
        train_on_device(failing(tried, error), **SETTINGS)
    assert len(tried) == 1


@pytest.mark.parametrize(
    ("free_gb", "visits", "expected"),
    [
        (8, 2_000_000, 512),
        (0.1, 2_000_000, 256),  # 281 cells of 2,000 genes fit into half of it
        (0.01, 2_000_000, 128),
        (8, 400_000, 256),  # 1,562 steps of 256 cells
        (8, 200_000, 128),
        (None, 2_000_000, 128),
    ],
)
def test_the_batch_grows_while_memory_and_steps_allow_it(free_gb, visits, expected):
    free = None if free_gb is None else int(free_gb * 2**30)
    assert batch_size_for(free, 128, 512, visits, 2000) == expected
    assert batch_size_for(free, 128, 100, visits, 2000) == 128


@pytest.mark.parametrize("wanted", ["gpu", "cuda", "mps"])
def test_a_gpu_that_is_not_there_is_refused_before_training(monkeypatch, wanted):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match=f"{wanted} is asked for and this machine shows none"):
        pick_accelerator(wanted)
    assert pick_accelerator("auto") == pick_accelerator("cpu") == "cpu"


@pytest.mark.parametrize(
    ("cuda", "mps", "wanted", "used"),
    [
        (True, True, "auto", "cuda"),
        (False, True, "auto", "mps"),
        (False, True, "gpu", "mps"),
        (True, True, "mps", "mps"),
        (True, True, "cpu", "cpu"),
    ],
)
def test_the_device_that_is_asked_for_is_taken(monkeypatch, cuda, mps, wanted, used):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert pick_accelerator(wanted) == used


@pytest.fixture(scope="module")
def cells():
    made = library({"B": 80, "T": 80, "monocyte_macrophage": 60}, seed=1)
    made.obs["batch"] = "one"
    made.var["highly_variable"] = True
    return made


def test_training_on_a_gpu_that_only_seems_to_be_there_ends_as_on_the_cpu(cells, monkeypatch):
    """Lightning itself finds that the device cannot be used."""
    from emhniche.integrate import integrate

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    plain = integrate(cells, accelerator="cpu", **SCVI)
    monkeypatch.setattr(devices, "pick_accelerator", lambda wanted: "cuda")
    found = integrate(cells, accelerator="auto", **SCVI)
    assert found.device["used"] == "cpu"
    assert found.device["asked_for"] == "auto"
    assert found.device["fell_back"]
    assert found.latent.equals(plain.latent)
    assert found.history.equals(plain.history)


def test_sixteen_bits_reach_the_bound_of_full_precision(cells):
    from emhniche.integrate import integrate

    longer = SCVI | {"epochs": 40}
    full = integrate(cells, accelerator="cpu", **longer)
    half = integrate(cells, accelerator="cpu", **longer | {"precision": "bf16"})
    assert half.device["precision"] == "bf16"
    assert not half.latent.equals(full.latent)
    bounds = [one.history["elbo_validation"].iloc[-1] for one in (full, half)]
    first = full.history["elbo_validation"].iloc[0]
    assert abs(bounds[1] - bounds[0]) < 0.02 * (first - bounds[0])


def test_several_gpus_share_the_cells_and_more_than_there_are_is_refused(gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    tried = []

    def train(place):
        tried.append((place.used, place.devices, place.batch_size))
        if place.used == "cuda":
            raise ProcessRaisedException("\n\n-- Process 1 ...\nCUDA error: lost\n", 1, 4711)
        return np.zeros((1, 1))

    fewer = SETTINGS | {"cell_visits": 1_000_000}
    _, device = train_on_device(train, **fewer | {"devices": 2})
    # each sees half of the cells: with 512 a step too few steps would be left
    assert tried == [("cuda", 2, 256), ("cpu", 1, 128)]
    assert (device["devices"], device["fell_back"]) == (1, "CUDA error: lost")
    with pytest.raises(InputError, match=r"devices: 3 CUDA .* machine shows 2; use at most 2"):
        train_on_device(train, **SETTINGS | {"devices": 3})
    on_cpu = {"accelerator": "cpu", "devices": 3}
    _, device = train_on_device(lambda place: np.zeros((1, 1)), **SETTINGS | on_cpu)
    assert device["devices"] == 1


def test_a_devices_own_process_tells_how_it_failed(gpu, monkeypatch):
    """What it hands on is a traceback, and CUDA's errors end in hints."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    traceback = (
        "\n\n-- Process 1 terminated with the following error:\n"
        "Traceback (most recent call last):\n"
        '  File "training.py", line 9, in step\n    to_CUDA(batch)\n'
        "torch.AcceleratorError: CUDA error: out of memory\nCUDA kernel errors might be reported "
        "late.\nFor debugging pass CUDA_LAUNCH_BLOCKING=1\nCompile with `TORCH_USE_CUDA_DSA`\n"
    )
    tried = []

    def train(place):
        tried.append(place.batch_size)
        if place.used == "cuda":
            raise ProcessRaisedException(traceback, 1, 4711)
        return np.zeros((1, 1))

    fewer = SETTINGS | {"cell_visits": 1_000_000, "devices": 2}
    _, device = train_on_device(train, **fewer)
    assert device["fell_back"] == "torch.AcceleratorError: CUDA error: out of memory"
    assert tried == [256, 128, 128], "half of the cells, then the CPU"
    killed = ProcessExitedException(
        "process 1 terminated with signal SIGABRT", 1, 4711, -6, signal_name="SIGABRT"
    )
    assert device_failure(killed) == "process 1 terminated with signal SIGABRT"


def test_two_processes_train_one_model_on_slurm_too(cells, monkeypatch, tmp_path):
    """As on two GPUs, with the processes on the CPU; Slurm's own variables must not mislead it."""
    monkeypatch.chdir(tmp_path)
    # of a job of one task, as the executor asks for
    for name in ("NTASKS", "NTASKS_PER_NODE", "NNODES", "JOB_ID"):
        monkeypatch.setenv(f"SLURM_{name}", "1")
    for name in ("PROCID", "LOCALID", "NODEID"):
        monkeypatch.setenv(f"SLURM_{name}", "0")
    monkeypatch.setenv("SLURM_JOB_NAME", "integrate")
    from emhniche.integrate import integrate

    place = devices.Place("cpu", "full", 32, devices=2)
    found = []

    def train_on_both(train, **_):
        found.append(train(place))
        return found[-1], {}

    monkeypatch.setattr(devices, "train_on_device", train_on_both)
    settings = SCVI | {"accelerator": "cpu", "epochs": 6}
    result = integrate(cells, **settings)
    assert list(tmp_path.iterdir()) == []
    history = result.history
    assert history["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    assert history["elbo_train"].iloc[-1] < 0.9 * history["elbo_train"].iloc[0]
    assert history.notna().all(axis=None)
    # 99 cells of each process in steps of 32; one that saw all 198 by itself would take 7
    state = result.model.module.state_dict()
    steps = [int(state[name]) for name in state if name.endswith("num_batches_tracked")]
    assert set(steps) - {0} == {6 * 4}  # 0: a part that the model does not use
    assert result.model.trainer.lightning_module.sums[:, 0, 2].tolist() == [198] * 6
    # what came back is the model that was trained: its own bound is the one that was followed
    bound = -float(result.model.get_elbo())
    assert abs(bound / history["elbo_train"].iloc[-1] - 1) < 0.1
