"""The training recipe computes what scvi-tools computes, only faster, and survives a high rate."""

import numpy as np
import pandas as pd
import pytest
import torch
from scvi.distributions import NegativeBinomial

from benchmark_training import METHODS, measure_training, split, summary
from emhniche.errors import InputError
from emhniche.sparse_likelihood import SCVI, SparseNegativeBinomial
from emhniche.training import OneCyclePlan, train_until_finite
from planted import library

EXTREMES = (1e-6, 1.0, 1e4)


def likelihood(kind, x, mu, theta, weight):
    """Return log-probabilities, and the gradients of their weighted sum."""
    mu, theta = (part.clone().requires_grad_() for part in (mu, theta))
    value = kind(mu=mu, theta=theta).log_prob(x)
    (value * weight).sum().backward()
    return value.detach(), mu.grad, theta.grad


@pytest.mark.parametrize("per_cell", [False, True], ids=["one_theta_a_gene", "one_a_count"])
@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_likelihood_and_gradients_are_those_of_scvi_tools(share, per_cell):
    torch.manual_seed(0)
    shape = (60, 40)
    mu = torch.exp(2 * torch.randn(shape, dtype=torch.float64))
    theta = torch.exp(2 * torch.randn(shape if per_cell else shape[1:], dtype=torch.float64))
    mu[0, :3] = torch.tensor(EXTREMES)
    x = torch.poisson(mu) * (torch.rand(shape) < share)
    weight = torch.rand(shape, dtype=torch.float64)
    ours = likelihood(SparseNegativeBinomial, x, mu, theta, weight)
    theirs = likelihood(NegativeBinomial, x, mu, theta, weight)
    for one, other, tolerance in zip(ours, theirs, (1e-9, 1e-7, 1e-7), strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def test_single_precision_is_as_close_as_it_can_be():
    torch.manual_seed(1)
    mu = torch.exp(torch.randn(100, 200) - 1)
    theta = torch.exp(torch.randn(200))
    x, weight = torch.poisson(mu), torch.ones(1)
    ours = likelihood(SparseNegativeBinomial, x, mu, theta, weight)
    exact = likelihood(NegativeBinomial, *(part.double() for part in (x, mu, theta, weight)))
    for one, other, tolerance in zip(ours, exact, (1e-6, 1e-4, 1e-4), strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=10 * tolerance)
    total = [part[0].double().sum() for part in (ours, exact)]
    torch.testing.assert_close(*total, rtol=1e-6, atol=0)


def test_the_kept_history_is_what_scvi_tools_would_log():
    import scvi

    class Plain(OneCyclePlan):
        """The same schedule with scvi-tools' own steps and log."""

        training_step = scvi.train.TrainingPlan.training_step
        validation_step = scvi.train.TrainingPlan.validation_step

    cells = library({"B": 60, "T": 60}, seed=1)
    found = []
    for plan in (OneCyclePlan, Plain):
        scvi.settings.seed = 0
        SCVI.setup_anndata(cells)
        model = SCVI(cells, n_hidden=16, n_latent=4, gene_likelihood="nb")
        model._training_plan_cls = plan
        model.train(
            max_epochs=3,
            accelerator="cpu",
            batch_size=32,
            train_size=0.9,
            check_val_every_n_epoch=1,
            enable_progress_bar=False,
            plan_kwargs={"lr": 0.01, "n_epochs_kl_warmup": 6, "epochs": 3},
        )
        own = model.trainer.lightning_module.history
        found.append(own() if plan is OneCyclePlan else model.history)
    ours, theirs = found
    assert ours["epoch"].tolist() == [1, 2, 3]
    for name in ours.columns.drop("epoch"):
        # the last training epoch is written by scvi-tools after its history is read
        logged = theirs[name].iloc[:, 0].to_numpy(dtype=float)
        np.testing.assert_allclose(ours[name][: len(logged)], logged, rtol=1e-5)
        assert len(logged) >= 2


def test_a_rate_that_diverges_is_halved_and_the_log_says_so(caplog):
    rates = []

    def train(rate):
        rates.append(rate)
        if rate > 0.3:
            raise ValueError("Expected parameter loc ... found invalid values: tensor([nan])")
        return np.full((2, 2), np.nan if rate > 0.2 else 1.0)

    assert (train_until_finite(train, peak_rate=0.6) == 1).all()
    assert rates == [0.6, 0.3, 0.15]
    assert "training diverged at a peak rate of 0.6" in caplog.text
    with pytest.raises(InputError, match=r"peak_rate: training diverged at 4, and at a half"):
        train_until_finite(train, peak_rate=4.0)
    with pytest.raises(ValueError, match="other"):
        train_until_finite(lambda _: int("other"), peak_rate=1.0)


def test_the_benchmark_crosses_what_is_worse_than_the_default_s_own_spread():
    rows = [
        {"dataset": "d", "method": method, "seed": seed, "cpu_seconds": cpu, "elbo": 0, "ari": ari}
        for method, cpu, ari in zip(METHODS, (100, 4, 7), (0.5, 0.46, 0.3), strict=True)
        for seed in (0, 1)
    ]
    table = pd.DataFrame(rows)
    table.loc[table["seed"] == 1, "ari"] += 0.08  # a spread of 0.057
    half_done = pd.DataFrame([rows[0] | {"seed": 2, "ari": 99.0}])
    lines = summary(pd.concat([table, half_done])).splitlines()
    assert "d, 2 seeds" in lines
    said = {line.split("|")[1].strip(): line for line in lines if line.startswith("| `")}
    assert said["`cpu_seconds`"].count("✗") == 0
    assert said["`ari`"].split("|")[2:5] == [" 0.54 ± 0.057 ", " 0.5 ± 0.057 ", " 0.34 ± 0.057 ✗ "]


def test_every_method_of_the_benchmark_is_given_the_same_split():
    parts = split(1001, 3)
    assert [len(part) for part in parts] == [901, 50, 50]
    assert sorted(np.concatenate(parts)) == list(range(1001))
    assert all((a == b).all() for a, b in zip(parts, split(1001, 3), strict=True))


def test_the_benchmark_trains_as_the_pipeline_does_and_holds_cells_out():
    cells = library({"B": 120, "T": 120}, seed=2)
    cells.obs["batch"] = cells.obs["_batch"] = "one"
    latent, row = measure_training(cells, "recipe", 0)
    assert latent.shape == (240, 30)
    assert row["epochs"] > 25, "few cells are seen more often"
    assert 0 < row["reconstruction_held_out"] < row["elbo_held_out"]
