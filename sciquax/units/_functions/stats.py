"""`jax.scipy.stats`: densities are per unit of the variable, their logarithms need numbers."""

from typing import Any

import jax
import jax.numpy as jnp

from .._quantity.arithmetic import multiplicative, unify
from .._quantity.base import wrap
from .._quantity.quantity import Quantity
from .._unit.unit import dimensionless
from .signature import call, enrol, rule

STATS = "jax.scipy.stats"
_VARIABLE = "x:a, loc:a, scale:a, *:1"

for _name in (
    "beta cauchy chi2 expon gamma gumbel_l gumbel_r laplace logistic norm pareto t truncnorm "
    "uniform"
).split():
    _module = f"{STATS}.{_name}"
    enrol(_module, "pdf", f"{_VARIABLE} -> 1/a")
    enrol(_module, "cdf logcdf sf logsf", f"{_VARIABLE} ->")
    enrol(_module, "logpdf", "*:1 ->")
    enrol(_module, "ppf isf", "loc:a, scale:a, *:1 -> a")
for _name in (
    "bernoulli betabinom binom dirichlet gennorm geom multinomial nbinom poisson vonmises "
    "wrapcauchy"
).split():
    enrol(f"{STATS}.{_name}", "pdf logpdf pmf logpmf cdf logcdf sf logsf ppf isf entropy", "*:1 ->")

enrol(STATS, "mode", "a:a -> a,", affine=True)
enrol(STATS, "sem", "a:a -> A", affine=True)
enrol(STATS, "rankdata", "a:a ->", affine=True)
enrol(f"{STATS}.multivariate_normal", "logpdf", "*:1 ->")


@rule(f"{STATS}.multivariate_normal.pdf")
def _multivariate_normal_pdf(x: Any, mean: Any, cov: Any) -> Any:
    """The covariance is in the square of the variable's unit; the density is per cell."""
    (x, mean), unit = unify("multivariate_normal.pdf", (x, mean))
    multiplicative("multivariate_normal.pdf", unit)
    if unit.unitless:
        cov = unify("multivariate_normal.pdf", (Quantity(0.0, ""), cov))[0][1]
    else:
        cov = unify("multivariate_normal.pdf", (Quantity(0.0, unit**2), cov))[0][1]
    out = call(jax.scipy.stats.multivariate_normal.pdf, x, mean, cov)
    n = jnp.shape(mean)[-1] if jnp.ndim(mean) else 1  # JAX takes a scalar mean for one variable
    return wrap(out, dimensionless() if unit.unitless else unit**-n)
