"""pint's contexts: conversions between dimensions, such as a wavelength to a frequency.

A context may be named in a conversion, `.to("Hz", "spectroscopy")`, or hold for a block,
`with context("spectroscopy")`. The block's is of the thread, and it is part of the key by which JAX
finds compiled functions, so that a function compiled under another context is not used again.

pint's own `registry.context(...)` changes the registry for all threads; here it is entered only
while a conversion is traced, under a lock.
"""

import contextlib
import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pint

from sciquax.core import converter_for, is_value, quaxify, user_line
from sciquax.core.internal import Tracer

from .errors import DimensionalityError, UnknownContextError
from .registry import PINT, get_registry
from .unit import InternedUnit, refuse_pint_context


@dataclasses.dataclass(frozen=True)
class Active:
    """Contexts of a registry that hold, innermost last.

    Compares by `key`: everything that could change a conversion, so that JAX may key by it. That is
    the transformations themselves and not only names, since a context may be added to later.
    """

    registry: Any = dataclasses.field(compare=False)
    contexts: tuple[pint.Context, ...] = dataclasses.field(compare=False)
    key: tuple[Any, ...] = ()

    @property
    def redefines(self) -> bool:
        """Whether some unit is defined otherwise in one of the contexts."""
        return any(c.redefinitions for c in self.contexts)

    def convert(self, magnitude: Any, source: InternedUnit, target: InternedUnit) -> Any:
        """A magnitude in `target`, whatever dimensions lie between."""
        magnitude = _inexact(magnitude)
        dtype = magnitude.dtype

        def transform(x: Any) -> Any:
            # A context is Python that may hold NumPy's numbers: the result has the array's dtype.
            with jax.numpy_dtype_promotion("standard"), self._entered():
                return jnp.asarray(self.registry.convert(x, source.pint, target.pint), dtype)

        try:
            return (quaxify(transform) if is_value(magnitude) else transform)(magnitude)
        except pint.DimensionalityError:
            raise cannot_convert(source, target, self).at(user_line()) from None

    def conversion(self, source: InternedUnit, target: InternedUnit) -> tuple[float, float]:
        """`(factor, offset)` between two units of one dimension, under redefinitions."""
        with self._entered():
            convert = self.registry.convert
            offset = convert(0.0, source.pint, target.pint)
            return float(convert(1.0, source.pint, target.pint) - offset), float(offset)

    def given(self, last: int, parameters: dict[str, Any]) -> "Active":
        """The same, with more parameters for the last so many contexts. It has no key."""
        if not parameters:
            return self
        given = {k: _as_pint(v, self.registry) for k, v in parameters.items()}
        split = len(self.contexts) - last
        found = [pint.Context.from_context(c, **given) for c in self.contexts[split:]]
        return Active(self.registry, (*self.contexts[:split], *found))

    @contextlib.contextmanager
    def _entered(self) -> Iterator[None]:
        with PINT:
            refuse_pint_context(self.registry)
            with self.registry.context(*self.contexts):
                yield

    def __str__(self) -> str:
        return ", ".join(f"'{c.name}'" for c in self.contexts)


_active = jax.make_user_context(None)


def active() -> Active | None:
    """The contexts of this thread's block, or None."""
    return _active.value


def redefinitions(unit: InternedUnit) -> Active | None:
    """The contexts of this thread's block if one of them redefines units of this registry."""
    found = _active.value
    if found is None or found.registry is not unit.registry or not found.redefines:
        return None
    return found


@contextlib.contextmanager
def context(*contexts: Any, **parameters: Any) -> Iterator[None]:
    """Within the block, conversions may use pint's contexts.

    **Arguments**: names of contexts of the registry in use, or `pint.Context` objects; and the
    contexts' own parameters. An inner block adds to the outer one and inherits its parameters, as
    in pint.

    Conversions only: `.to`, `.m_as`, `Quantity(q, unit)`. Sums and comparisons still need one
    dimension. Belongs to the thread, works under `jax.jit`, and functions compiled under other
    contexts are not used.

    **Raises** KeyError for a context that the registry does not have.

    ```python
    >>> from sciquax.units import Quantity, context
    >>> with context("spectroscopy"):
    ...     print(f"{Quantity(500.0, 'nm').to('THz'):.1f}")
    599.6 terahertz

    ```
    """
    together = combine(_active.value, get_registry(), contexts, parameters)
    with _active(None if together is None else keyed(together)):
        yield


def keyed(contexts: Active) -> Active:
    """The same, with the key that JAX may compare."""
    key = (id(contexts.registry), *map(_key, contexts.contexts))
    return dataclasses.replace(contexts, key=key)


def combine(
    outer: Active | None, registry: Any, contexts: tuple[Any, ...], parameters: dict[str, Any]
) -> Active | None:
    """The contexts of `outer` and these ones.

    **Raises** KeyError, TypeError for what is not a context of the registry.
    """
    before = outer.contexts if outer is not None and outer.registry is registry else ()
    if not contexts:
        if parameters:
            names = ", ".join(parameters)
            raise TypeError(f"Parameters ({names}) without a context to give them to.")
        return None if not before else outer
    found = [_find(c, registry) for c in contexts]
    _check_parameters(parameters, [*before, *found])
    inherited = {k: v for c in before for k, v in c.defaults.items()}
    given = {**inherited, **{k: _as_pint(v, registry) for k, v in parameters.items()}}
    # pint copies a context where parameters are given to it; the copy shares the functions.
    together = Active(registry, (*before, *[pint.Context.from_context(c, **given) for c in found]))
    if not all(c.checked for c in found):
        with together._entered():  # pint rewrites [speed] as [length]/[time] when first entered
            for original, copied in zip(found, together.contexts[len(before) :], strict=True):
                original.checked = copied.checked
    return together


def _check_parameters(parameters: dict[str, Any], contexts: list[pint.Context]) -> None:
    """**Raises** TypeError for parameters that none of the contexts has."""
    known: dict[str, None] = {}
    for c in contexts:
        known.update(dict.fromkeys(c.defaults))
        for function in c.funcs.values():
            if getattr(function, "__module__", "").startswith("pint."):
                continue  # of a definition in text, which states its parameters
            for name, parameter in list(inspect.signature(function).parameters.items())[2:]:
                if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                    return
                known[name] = None
    unknown = [name for name in parameters if name not in known]
    if unknown:
        names = ", ".join(f"'{c.name}'" for c in contexts)
        has = f"has {', '.join(known)}" if known else "has none"
        raise TypeError(f"{', '.join(unknown)}: not a parameter of context {names}, which {has}.")


def _find(c: Any, registry: Any) -> pint.Context:
    if isinstance(c, pint.Context):
        return c
    if not isinstance(c, str):
        kind = type(c).__name__
        raise TypeError(f"A context is a name or a `pint.Context`, not {kind}.")
    if c not in registry._contexts:
        known = ", ".join(sorted({str(x.name) for x in registry._contexts.values()}))
        raise UnknownContextError(
            f"'{c}' is not a context of the unit registry, which has: {known}."
        ).at(user_line())
    return registry._contexts[c]


def _as_pint(parameter: Any, registry: Any) -> Any:
    """A parameter for pint's functions: a quantity as one of this registry, whatever it holds."""
    own = isinstance(parameter, pint.Quantity) and parameter._REGISTRY is registry
    if not own and (taken_over := converter_for(type(parameter))) is not None:
        parameter = taken_over(parameter)
    unit = getattr(parameter, "_unit", None)
    if isinstance(unit, InternedUnit):
        return registry.Quantity(parameter.magnitude, unit.pint)
    return parameter


def _key(c: pint.Context) -> Any:
    """A hashable key of context `c`. It keeps its objects alive, so no `id` is reused."""
    functions = tuple((source, target, f) for (source, target), f in c.funcs.items())
    defaults = tuple((k, _hashable(v)) for k, v in sorted(c.defaults.items()))
    return functions, defaults, tuple(map(repr, c.redefinitions))


def _hashable(x: Any) -> Any:
    if isinstance(x, pint.Quantity):
        return str(x.units), _hashable(x.magnitude)
    if isinstance(x, Tracer):
        raise TypeError(
            "A context's parameter is a traced array, which a block cannot hold. Give it to "
            "the conversion, `.to(unit, context, parameter=...)`."
        )
    if isinstance(x, (jax.Array, np.ndarray)):
        array = np.asarray(x)
        return array.shape, str(array.dtype), array.tobytes()
    return type(x), x


def cannot_convert(
    source: InternedUnit, target: InternedUnit, contexts: Active | None
) -> DimensionalityError:
    where = "" if contexts is None else f" in context {contexts}"
    return DimensionalityError(
        f"Cannot convert from '{source}' ({source.dimensionality}) to '{target}' "
        f"({target.dimensionality}){where}.",
        source.pint,
        target.pint,
    )


def _inexact(magnitude: Any) -> Any:
    if not hasattr(magnitude, "dtype"):
        return jnp.asarray(magnitude, jnp.result_type(float))
    if jnp.issubdtype(magnitude.dtype, jnp.inexact):
        return magnitude
    return magnitude.astype(jnp.result_type(float))
