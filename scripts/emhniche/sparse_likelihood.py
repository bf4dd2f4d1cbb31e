"""scVI's negative binomial likelihood, exact, with its special functions where counts are not 0.

Nine counts of ten are 0. There the log-probability is theta log(theta / (theta + mu)): no gamma
function and no logarithm of the mean. The other terms are added where there is a count, and the
gradient is written out, so that no intermediate matrix is kept.
"""

import scvi
import torch
from scvi.distributions import NegativeBinomial
from scvi.module import VAE
from scvi.module._constants import MODULE_KEYS
from torch.autograd.function import once_differentiable

EPS = 1e-8
"""What scvi-tools adds before it takes a logarithm."""


class _LogProbability(torch.autograd.Function):
    """Log-probability of counts (cells x genes) and its gradient in mean and inverse dispersion."""

    @staticmethod
    def forward(ctx, x: torch.Tensor, mu: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
        """Return the log-probability of each count."""
        inverse = (theta + mu).add_(EPS).reciprocal_()
        log_zero = ((theta + EPS) * inverse).log_()
        result = (theta * log_zero).contiguous()
        at = x.reshape(-1).nonzero().squeeze(1)
        counts, mean, own = (part.reshape(-1).index_select(0, at) for part in (x, mu, inverse))
        shape = theta.expand_as(mu).take(at)
        more = counts * torch.log((mean + EPS) * own)
        more += torch.lgamma(counts + shape) - torch.lgamma(shape) - torch.lgamma(counts + 1)
        result.view(-1).index_add_(0, at, more)
        ctx.save_for_backward(theta, inverse, log_zero, counts, mean, own, shape, at)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: torch.Tensor) -> tuple[None, torch.Tensor, torch.Tensor]:
        """Return the gradients of mean and inverse dispersion."""
        theta, inverse, log_zero, counts, mean, own, shape, at = ctx.saved_tensors
        by_mean = (-theta * inverse).contiguous()
        by_shape = (log_zero + by_mean).contiguous()
        by_mean.view(-1).index_add_(0, at, counts / (mean + EPS) - counts * own)
        digamma = torch.digamma(counts + shape) - torch.digamma(shape)
        by_shape.view(-1).index_add_(0, at, digamma - counts * own)
        by_shape += theta / (theta + EPS)
        return None, by_mean.mul_(grad), by_shape.mul_(grad).sum_to_size(theta.shape)


class SparseNegativeBinomial(NegativeBinomial):
    """scvi-tools' negative binomial, whose log-probability is quick where counts are 0."""

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """Return the log-probability of counts.

        Parameters
        ----------
        value
            Cells x genes, counts.

        Returns
        -------
        torch.Tensor
            Cells x genes, natural logarithm.
        """
        # where the network computes in 16 bits, the likelihood does not
        wide = torch.promote_types(self.mu.dtype, torch.float32)
        return _LogProbability.apply(value.to(wide), self.mu.to(wide), self.theta.to(wide))


class SparseVAE(VAE):
    """scVI's network with :class:`SparseNegativeBinomial` as the likelihood of counts."""

    def generative(self, *args, **kwargs) -> dict:
        """Run the generative process."""
        made = super().generative(*args, **kwargs)
        counts = made[MODULE_KEYS.PX_KEY]
        made[MODULE_KEYS.PX_KEY] = SparseNegativeBinomial(
            mu=counts.mu, theta=counts.theta, scale=counts.scale
        )
        return made


class SCVI(scvi.model.SCVI):
    """scVI with :class:`SparseVAE`; of the same name, so that scvi-tools can load what it saves."""

    _module_cls = SparseVAE
