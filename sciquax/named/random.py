"""Random named arrays, by sizes: `jax.random`'s functions with names.

Parameters such as `p`, `minval` or `lam` may be named arrays, which align by name with the sizes.
"""

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from sciquax.core import user_line

from ._array.axes import axes, check_distinct, sizes_of
from ._array.base import as_named, bare
from ._array.coordinates import meet
from ._array.errors import AxisError, show_dims
from ._by_name.call_jax import apply
from ._named_array import NamedArray


def _parameter(op: str, value: Any, sizes: dict[str, int]) -> Any:
    """A parameter's array, with the axes of the result."""
    if not isinstance(value, NamedArray):
        return as_named(value, op).array
    for name in value.dims:
        if name not in sizes:
            raise AxisError(
                f"`{op}` got a parameter with the dims {show_dims(value.dims)} for the sizes "
                f"{sizes}.",
                "Parameters have no other names than the result.",
            ).at(user_line())
    return value.broadcast_to(sizes).array


def _labels(op: str, parameters: list[Any]) -> dict[str, Any]:
    """The coordinates that the parameters give the result."""
    return meet(op, *[p._axes.coords for p in parameters if isinstance(p, NamedArray)])


@runtime_checkable
class _Sampler(Protocol):
    def __call__(self, key: Any, sizes: Any, *args: Any, **kwargs: Any) -> NamedArray: ...


def _sampler(name: str, parameters: tuple[str, ...], has_dtype: bool = True) -> _Sampler:
    function = getattr(jax.random, name)

    def sample(key: Any, *args: Any, **kwargs: Any) -> NamedArray:
        sizes, args = _split_sizes(name, parameters, args, kwargs)
        if len(args) > len(parameters):
            raise TypeError(f"`{name}` takes the parameters {', '.join(parameters)}.")
        given = dict(zip(parameters, args, strict=False)) | kwargs
        coords = _labels(name, [given[k] for k in parameters if k in given])
        made = {k: _parameter(name, v, sizes) if k in parameters else v for k, v in given.items()}
        return bare(function(key, shape=tuple(sizes.values()), **made), axes(tuple(sizes), coords))

    sample.__name__ = sample.__qualname__ = name
    order = ", ".join(("key", "sizes", *parameters))
    sample.__doc__ = (
        f"`jax.random.{name}` by sizes: `{name}({order})`.\n\n"
        "`sizes` is a dictionary of name to size, or `Axis` objects."
        + (" `dtype` is a keyword." if has_dtype else "")
    )
    return sample


def _split_sizes(
    op: str, parameters: tuple[str, ...], args: tuple, kwargs: dict[str, Any]
) -> tuple[dict[str, int], tuple]:
    if "sizes" in kwargs:
        return sizes_of(op, kwargs.pop("sizes")), args
    if not args:
        raise TypeError(f"`{op}` needs the sizes of the result, such as {{'x': 3}}.")
    return sizes_of(op, args[0]), args[1:]


def normal(key: Any, sizes: Any, loc: Any = None, scale: Any = None, dtype: Any = float) -> Any:
    """Normally distributed around `loc` (0) with the standard deviation `scale` (1).

    `sizes` is a dictionary of name to size, or `Axis` objects.
    """
    known = sizes_of("normal", sizes)
    coords = _labels("normal", [loc, scale])
    out = jax.random.normal(key, tuple(known.values()), dtype)
    if scale is not None:
        out = apply(jnp.multiply, out, _parameter("normal", scale, known))
    if loc is not None:
        out = apply(jnp.add, out, _parameter("normal", loc, known))
    return bare(out, axes(tuple(known), coords))


uniform: _Sampler = _sampler("uniform", ("minval", "maxval"))
bernoulli: _Sampler = _sampler("bernoulli", ("p",), has_dtype=False)
exponential: _Sampler = _sampler("exponential", ())
truncated_normal: _Sampler = _sampler("truncated_normal", ("lower", "upper"))
gamma: _Sampler = _sampler("gamma", ("a",))
beta: _Sampler = _sampler("beta", ("a", "b"))
poisson: _Sampler = _sampler("poisson", ("lam",))
laplace: _Sampler = _sampler("laplace", ())
cauchy: _Sampler = _sampler("cauchy", ())
gumbel: _Sampler = _sampler("gumbel", ())
logistic: _Sampler = _sampler("logistic", ())
rademacher: _Sampler = _sampler("rademacher", ())


def randint(key: Any, sizes: Any, minval: Any, maxval: Any, dtype: Any = int) -> NamedArray:
    """Integers from `minval` to `maxval`, which is not included."""
    known = sizes_of("randint", sizes)
    coords = _labels("randint", [minval, maxval])
    bounds = [_parameter("randint", x, known) for x in (minval, maxval)]
    out = jax.random.randint(key, tuple(known.values()), *bounds, dtype=dtype)
    return bare(out, axes(tuple(known), coords))


def permutation(key: Any, a: NamedArray, name: Any) -> NamedArray:
    """`a` in random order along a name, whose coordinates go with it."""
    a = as_named(a, "permutation")
    i = a._axes.position("permutation", name, a)
    order = jax.random.permutation(key, a.shape[i])
    return a.isel({a.dims[i]: bare(order, axes((a.dims[i],)))})


def choice(key: Any, a: NamedArray, name: Any, sizes: Any, replace: bool = True) -> NamedArray:
    """Elements of `a` at random places along a name, which the names of `sizes` replace."""
    a = as_named(a, "choice")
    i = a._axes.position("choice", name, a)
    known = sizes_of("choice", sizes)
    places = jax.random.choice(key, a.shape[i], tuple(known.values()), replace=replace)
    return a.isel({a.dims[i]: bare(jnp.asarray(places), axes(tuple(known)))})


def categorical(key: Any, logits: NamedArray, name: Any, sizes: Any = None) -> NamedArray:
    """A place along a name, drawn with the probabilities softmax(logits).

    One for each of the other names, and for each of `sizes`, which lead.
    """
    logits = as_named(logits, "categorical")
    i = logits._axes.position("categorical", name, logits)
    known = {} if sizes is None else sizes_of("categorical", sizes)
    rest = [k for k in range(logits.ndim) if k != i]
    layout = logits._axes.keep(rest)
    dims = (*known, *layout.dims)
    check_distinct("categorical", dims)
    shape = (*known.values(), *(logits.shape[k] for k in rest))
    return bare(jax.random.categorical(key, logits.array, axis=i, shape=shape), axes(dims))
