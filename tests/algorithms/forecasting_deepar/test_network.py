"""The compiled layer agrees with PyTorch's own operations, forth and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wildsage.algorithms.forecasting_deepar.likelihoods import LIKELIHOODS
from wildsage.algorithms.forecasting_deepar.names import OUTPUTS
from wildsage.algorithms.forecasting_deepar.network import Network, layer, layer_by_steps


@pytest.mark.parametrize("zoneout", [False, True])
@pytest.mark.parametrize("wanted", [False, True])
def test_a_layer_and_its_gradients(zoneout: bool, wanted: bool) -> None:
    torch.manual_seed(0)
    steps, width, units, rows = 6, 3, 5, 7
    keep = (torch.rand(steps if zoneout else 0, units, rows) < 0.3).to(torch.uint8)
    inputs = torch.randn(steps, width, rows, requires_grad=wanted)
    weights = (0.5 * torch.randn(4 * units, width + units)).requires_grad_()
    added = torch.randn(4 * units, rows, requires_grad=True)
    gradient = torch.randn(steps, units, rows)
    leaves = [leaf for leaf in (inputs, weights, added) if leaf.requires_grad]
    results = []
    for run in (layer, layer_by_steps):
        hidden = run(inputs, weights, added, keep)
        results.append([hidden.detach(), *torch.autograd.grad(hidden, leaves, gradient)])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-4, atol=2e-5)


def test_parameters_are_views_of_one_vector() -> None:
    network = Network(4, [3, 2], 5, 6, 2, 3)
    network.initialise(0)
    parts = network.parts()
    assert sum(part.numel() for part in parts.values()) == len(network.flat)
    assert parts["embedding_1"].shape == (2, 5)
    parts["head_bias"].fill_(7)
    assert (network.flat == 7).sum() == 3
    recurrent = parts["weights_1"][:6, -6:]
    np.testing.assert_allclose((recurrent @ recurrent.t()).numpy(), np.eye(6), atol=1e-5)


@pytest.mark.parametrize("name", OUTPUTS)
def test_losses_are_finite_at_the_edges(name: str) -> None:
    outputs = (30 * torch.randn(4, OUTPUTS[name], 5)).requires_grad_()
    targets = torch.tensor([0.0, 1.0, 0.5, 1e-7]).view(4, 1).expand(4, 5)
    loss = LIKELIHOODS[name](outputs, targets, torch.full((5,), 3.0)).sum()
    (gradient,) = torch.autograd.grad(loss, outputs)
    assert torch.isfinite(loss) and torch.isfinite(gradient).all()


def test_losses_are_the_negative_log_likelihoods() -> None:
    stats = pytest.importorskip("scipy.stats")
    outputs = torch.tensor([[0.3], [0.8], [1.2]]).view(1, 3, 1)
    soft = np.log1p(np.exp(outputs.numpy().ravel()))
    scale, target = 2.5, 4.0

    def loss(name: str, value: float) -> float:
        given = outputs[:, : OUTPUTS[name]]
        return float(LIKELIHOODS[name](given, torch.tensor([[value]]), torch.tensor([scale])))

    spread = soft[1] * scale
    assert loss("gaussian", target / scale) == pytest.approx(
        -stats.norm.logpdf(target, 0.3 * scale, spread), rel=1e-4
    )
    assert loss("student-T", target / scale) == pytest.approx(
        -stats.t.logpdf(target, 2 + soft[2], 0.3 * scale, spread), rel=1e-4
    )
    size, mean = 1 / soft[1], soft[0] * scale
    assert loss("negative-binomial", target / scale) == pytest.approx(
        -stats.nbinom.logpmf(target, size, size / (size + mean)), rel=1e-4
    )
    assert loss("beta", 0.4) == pytest.approx(-stats.beta.logpdf(0.4, soft[0], soft[1]), rel=1e-4)
    assert loss("deterministic-L1", 0.4) == pytest.approx(0.1, rel=1e-4)
