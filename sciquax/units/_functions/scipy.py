"""`jax.scipy` beside `linalg` and `stats`, and `jax.nn`."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from sciquax.core import MODE
from sciquax.core.internal import add_hook

from .._quantity.arithmetic import mismatch, multiplicative, unify, unit_of
from .._quantity.base import magnitude_of, own_unit, wrap
from .._quantity.quantity import Quantity
from .._quantity.trusted_literals import beside
from .._unit.convert import convert
from .._unit.unit import InternedUnit, dimensionless
from .signature import call, enrol, rule

SPECIAL, SIGNAL = "jax.scipy.special", "jax.scipy.signal"

# -- special functions: of numbers, but for a few that are homogeneous in an argument -------------
enrol(
    SPECIAL,
    "bessel_jn beta betainc betaln boxcox boxcox1p comb dawsn digamma entr erf erfc erfcinv erfcx "
    "erfinv exp1 expi expit expn factorial fresnel gamma gammainc gammaincc gammaln gammasgn "
    "hyp1f1 hyp2f1 i0 i0e i1 i1e log_ndtr log_softmax loggamma logit logsumexp multigammaln ndtr "
    "ndtri owens_t poch polygamma sici softmax spence sph_harm_y wofz zeta",
    "*:1 ->",
)
enrol(SPECIAL, "xlogy xlog1py", "x:a, y:1 -> a")
enrol(SPECIAL, "rel_entr kl_div", "p:a, q:a -> a")

# -- activations: of numbers, but for those that only scale ---------------------------------------
enrol(
    "jax.nn",
    "celu elu gelu hard_sigmoid hard_silu hard_swish hard_tanh log_sigmoid mish relu6 selu sigmoid "
    "silu soft_sign softplus sparse_plus sparse_sigmoid squareplus swish glu",
    "*:1 ->",
)

# -- signals --------------------------------------------------------------------------------------
enrol(SIGNAL, "convolve correlate fftconvolve", "in1:a, in2:b -> a*b")
enrol(SIGNAL, "detrend", "data:a -> A", affine=True)


def _inverse(unit: InternedUnit) -> InternedUnit:
    return unit if unit.unitless else unit**-1


def _spectrum(name: str) -> None:
    """Frequencies in the sampling rate's unit; a spectral density per that unit."""

    def spectrum(*args: Any, **kwargs: Any) -> Any:
        function = getattr(jax.scipy.signal, name)
        parameters = inspect.signature(function)
        bound = parameters.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        data = [given["x"], given["x"] if given.get("y") is None else given["y"]]
        rate, unit = multiplicative(name, own_unit(given["fs"])), dimensionless()
        for own in (multiplicative(name, own_unit(x)) for x in data):
            unit = own if unit.unitless else unit if own.unitless else unit * own
        if given["scaling"] == "density" and not rate.unitless:
            unit = unit / rate
        for key in {"x", "y", "fs"} & given.keys():
            given[key] = None if given[key] is None else magnitude_of(given[key])
        f, p = call(function, *bound.args, **bound.kwargs)
        return wrap(f, rate), wrap(p, unit)

    rule(f"{SIGNAL}.{name}")(spectrum)


_spectrum("csd")
_spectrum("welch")


@rule(f"{SIGNAL}.stft")
def _stft(x: Any, fs: Any = 1.0, *args: Any, **kwargs: Any) -> Any:
    rate = multiplicative("stft", own_unit(fs))
    f, t, z = call(jax.scipy.signal.stft, magnitude_of(x), magnitude_of(fs), *args, **kwargs)
    return wrap(f, rate), wrap(t, _inverse(rate)), wrap(z, multiplicative("stft", own_unit(x)))


@rule(f"{SIGNAL}.istft")
def _istft(Zxx: Any, fs: Any = 1.0, *args: Any, **kwargs: Any) -> Any:
    rate = multiplicative("istft", own_unit(fs))
    t, x = call(jax.scipy.signal.istft, magnitude_of(Zxx), magnitude_of(fs), *args, **kwargs)
    return wrap(t, _inverse(rate)), wrap(x, own_unit(Zxx))


# -- the rest -------------------------------------------------------------------------------------
enrol("jax.scipy.cluster.vq", "vq", "obs:a, code_book:a -> , a", affine=True)
enrol("jax.scipy.ndimage", "map_coordinates", "input:a, coordinates:1, cval:a -> a", affine=True)


@rule("jax.nn.standardize")
def _standardize(
    x: Any,
    axis: Any = -1,
    mean: Any = None,
    variance: Any = None,
    epsilon: Any = 1e-5,
    where: Any = None,
) -> Any:
    """Numbers. `epsilon` measures what a variance does; its default, a number, counts as 0."""
    unit = own_unit(x)
    if mean is not None:
        (x, mean), unit = unify("standardize", (x, mean))
    square = dimensionless() if unit.unitless else unit**2
    given = {"variance": variance, "epsilon": epsilon}
    for name, value in given.items():
        value = None if value is None else beside((wrap(0.0, square), value))[1]
        own = unit_of(value) if value is not None else None
        if own is None:
            given[name] = None if value is None else magnitude_of(value)
        elif name == "epsilon" and own.unitless and not unit.dimensionless and value == 1e-5:
            given[name] = 0.0
        elif not own.compatible(square):
            raise mismatch("standardize", (Quantity(0.0, square), value))
        else:
            given[name] = convert(magnitude_of(value), own, square)
    return call(jax.nn.standardize, magnitude_of(x), axis, mean, where=where, **given)


def _on_grid(original: Any) -> Any:
    """Coordinates of several dimensions are given as a tuple, which JAX would put in one array."""

    def interpolate(self: Any, xi: Any, method: Any = None) -> Any:
        if not MODE.staging or not isinstance(xi, tuple) or len(xi) < 2:
            return original(self, xi, method)
        ones = [jnp.ones_like(g[1] - g[0]) for g in self.grid]
        along = [*zip(map(jnp.asarray, xi), self.grid, ones, strict=True)]
        grid = tuple((g - g[0]) / one for _, g, one in along)
        options = (self.method, self.bounds_error, self.fill_value)
        numbers = type(self)(grid, self.values, *options)
        return original(numbers, tuple((x - g[0]) / one for x, g, one in along), method)

    return interpolate


def _density(original: Any) -> Any:
    """A density per unit of the data, to the power of their number of rows."""

    def evaluate(self: Any, points: Any) -> Any:
        if not MODE.staging:
            return original(self, points)
        one = lax.stop_gradient(jnp.ones_like(self.dataset[0, 0]))
        covariances = self.covariance / one**2, self.inv_cov * one**2
        children = (self.neff, self.dataset / one, self.weights, *covariances)
        numbers = type(self).tree_unflatten(None, children)
        return original(numbers, points / one) / one**self.d

    return evaluate


add_hook("jax.scipy.interpolate:RegularGridInterpolator.__call__", _on_grid)
add_hook("jax.scipy.stats:gaussian_kde.evaluate", _density)
