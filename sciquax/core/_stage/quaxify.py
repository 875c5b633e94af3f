"""`quaxify`: stage a function to a jaxpr, then interpret that on values."""

from collections.abc import Callable, Mapping
from typing import Any, Concatenate, TypeAlias, TypeVar, overload

import equinox as eqx
import jax
import jax.tree_util as jtu

from .._compat.frames import user_location
from .._compat.jaxprs import Literal, as_array
from .._compat.trees import with_arrays
from .._errors import LocatedError, Location, user_line
from .._functions.call import call_whole
from .._functions.intercept import install, rules_of
from .._values.captured import CapturedValue, inject
from .._values.formulas import settle
from .._values.kinds import VALUE_TYPES, from_foreign, guard_foreign, is_value, is_value_or_foreign
from .._values.masks import without_masks
from .._values.mode import MODE, leaving
from .._values.unit_polymorphic import UnitPolymorphic, strip
from .captured_trees import install_tree_hook
from .numbers_asked import Program
from .replay import kept_for
from .staging import BuiltOutput, Output, stage, staging_user_code
from .trace_rules import call_at_once, rules_may_answer

F = TypeVar("F", bound=Callable)
R = TypeVar("R")

Arrays: TypeAlias = (
    jax.Array | tuple["Arrays", ...] | list[jax.Array] | list["Arrays"] | Mapping[Any, "Arrays"]
)
"""What a function of plain arrays says that it returns: one, or a tree of them."""


_OF_FUNCTIONS = ("__module__", "__name__", "__qualname__", "__doc__", "__annotations__")
_UNSAID = object()


class _Quaxify(eqx.Module):
    """A function that takes values. A pytree with the leaves of the function it wraps."""

    fn: Callable
    filter_spec: Any = eqx.field(static=True)

    @classmethod
    def around(cls, fn: Callable, filter_spec: Any = True) -> Any:
        """A quaxified function with the name and the documentation of `fn`.

        Without Equinox's warning that `jax.vmap(layer)` has no parameters: it is called here, not
        kept to be trained.
        """
        made = object.__new__(cls)
        object.__setattr__(made, "fn", fn)
        object.__setattr__(made, "filter_spec", filter_spec)
        for name in _OF_FUNCTIONS:  # as `eqx.module_update_wrapper`, in a fifth of the time
            if (said := getattr(fn, name, _UNSAID)) is not _UNSAID:
                object.__setattr__(made, name, said)
        return made

    @property
    def __wrapped__(self) -> Callable:
        return self.fn

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return call(self.fn, args, kwargs, self.filter_spec)
        except Exception as error:
            leaving(error)
            raise

    def __get__(self, instance: Any, owner: Any) -> Any:
        return self if instance is None else eqx.Partial(self, instance)


# To type checkers, what is written for plain arrays takes and returns anything once quaxified; what
# is written for quantities, or returns something else, keeps its types.
@overload
def quaxify(fn: Callable[..., Arrays], filter_spec: Any = ...) -> Callable[..., Any]: ...
@overload
def quaxify(
    fn: Callable[Concatenate[jax.Array, ...], R], filter_spec: Any = ...
) -> Callable[..., R]: ...
@overload
def quaxify(fn: F, filter_spec: Any = ...) -> F: ...
def quaxify(fn: Callable[..., Any], filter_spec: Any = True) -> Callable[..., Any]:
    """Make `fn` accept arguments that hold custom array-ish values.

    The function is traced once to a jaxpr, in which every [`sciquax.Value`][] found anywhere in
    `(fn, args, kwargs)` is an abstract array, and the jaxpr is interpreted: each operation by the
    types it meets. Every other argument stays the Python object it was. Values captured by closure
    work as arguments do. Without values the call is exactly `fn(*args, **kwargs)`.

    **Arguments**

    - `fn`: a function, a method, a jitted function, or a callable pytree such as an Equinox module.
    - `filter_spec`: a pytree prefix of booleans (or functions of a leaf) over `(fn, args, kwargs)`;
      values where it is False are passed to `fn` as they are, for a `quaxify` within to take.

    **Returns** a callable with the signature of `fn`.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax import quaxify
    >>> from sciquax.units import Quantity
    >>> quaxify(jnp.hypot)(Quantity(3.0, "m"), Quantity(400.0, "cm"))
    Quantity(5.0, 'm')

    ```
    """
    guard_foreign(anew=True)
    return _Quaxify.around(fn, filter_spec)


def call(
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    filter_spec: Any = True,
    finish: Callable[[Any], Any] = strip,
) -> Any:
    """Call a function as [`sciquax.quaxify`][] of it does.

    **Arguments**: the function, its arguments and keywords, `filter_spec` as for `quaxify`, and
    `finish`, which is applied to outputs marked as `UnitPolymorphic`. By default it drops the mark.
    """
    tree = (fn, args, kwargs)
    leaves, treedef = jtu.tree_flatten(tree, is_leaf=is_value_or_foreign)
    chosen = [i for i, x in enumerate(leaves) if is_value_or_foreign(x)]
    if filter_spec is not True:
        wanted = _filter(filter_spec, tree)
        chosen = [i for i in chosen if wanted[i]]
    for i in chosen:
        leaves[i] = from_foreign(leaves[i])
    chosen = without_masks(leaves, chosen)
    apart = filter_spec is not True
    if MODE.staging and not (apart or MODE.apart):
        # Within another quaxified function: hand our values to it, it interprets everything.
        for i in chosen:
            leaves[i] = inject(leaves[i])
        fn, args, kwargs = jtu.tree_unflatten(treedef, leaves)
        return fn(*args, **kwargs)
    if filter_spec is True and chosen and (rules := rules_of(fn)) is not None:
        _, given, named = jtu.tree_unflatten(treedef, leaves)
        out = _located(call_whole, rules, given, named)
        if out is not NotImplemented:
            return out if MODE.deferring else settle(out)
    if not chosen:
        return call_or_stage(fn, args, kwargs, finish)
    return stage_and_interpret(leaves, treedef, chosen, finish, apart)


def _located(function: Callable, *args: Any) -> Any:
    """Call it; an error without a place gets the user's line on the Python stack."""
    try:
        return function(*args)
    except LocatedError as error:
        if error.location is None:
            error.at(user_line())
        raise


def call_or_stage(
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    finish: Callable[[Any], Any] = strip,
) -> Any:
    """Call a function directly, or stage it if it hands a captured value to JAX."""
    install()
    install_tree_hook()
    guard_foreign()
    outer, MODE.direct = MODE.direct, True
    try:
        return fn(*args, **kwargs)
    except CapturedValue:
        pass
    finally:
        MODE.direct = outer
    leaves, treedef = jtu.tree_flatten((fn, args, kwargs), is_leaf=is_value)
    chosen = [i for i, x in enumerate(leaves) if type(x) in VALUE_TYPES]
    chosen = without_masks(leaves, chosen)
    return stage_and_interpret(leaves, treedef, chosen, finish)


def _filter(filter_spec: Any, tree: Any) -> list[bool]:
    def expand(spec: Any, subtree: Any) -> Any:
        return jtu.tree_map(
            lambda x: spec(x) if callable(spec) else bool(spec),
            subtree,
            is_leaf=is_value_or_foreign,
        )

    return jtu.tree_leaves(jtu.tree_map(expand, filter_spec, tree))


def stage_and_interpret(
    leaves: list[Any],
    treedef: Any,
    chosen: list[int],
    finish: Callable[[Any], Any] = strip,
    apart: bool = False,
) -> Any:
    """Stage and interpret a call whose leaves at `chosen` are values, or replay it."""
    values = [leaves[i].canonical() for i in chosen]
    kept = None if apart or finish is not strip else kept_for(leaves, treedef, chosen)
    if kept is not None and (out := kept.again(leaves, treedef, chosen, values)) is not kept:
        return out
    program, read = Program(values, leaves), MODE.arrays_read
    try:
        staged = stage(leaves, treedef, chosen, lambda: staging_user_code(apart), program)
        results = program.finish(staged)
    except (LocatedError, TypeError, ValueError) as error:
        if not (apart or MODE.staging) and rules_may_answer(error, values):
            return call_at_once(leaves, treedef, chosen, error)
        if isinstance(error, LocatedError):
            # It names the user's line itself; JAX's second traceback would say the same at length.
            error.__cause__ = None
            if error.location is None:
                error.at(user_line())
        raise
    results = [
        finish(x)
        if type(x) is UnitPolymorphic
        else with_arrays(x)
        if type(x) in VALUE_TYPES
        else as_array(x)
        for x in results
    ]
    if kept is not None and not program.in_parts:
        kept.remember(staged, read)
    return staged.rebuild(results)


def output_places(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[Location | None]:
    """The user's line that made each output of a function. Values count as one output each.

    This stages the function again, so it is meant for error messages.
    """
    fn = fn.fn if isinstance(fn, _Quaxify) else fn
    leaves, treedef = jtu.tree_flatten((fn, args, kwargs), is_leaf=is_value)
    chosen = [i for i, x in enumerate(leaves) if type(x) in VALUE_TYPES]
    staged = stage(leaves, treedef, chosen)
    makers = {var: eqn for eqn in staged.jaxpr.eqns for var in eqn.outvars}
    places: list[Location | None] = []
    for item in staged.template:
        item = item.leaves[0] if type(item) is BuiltOutput and item.leaves else item
        eqn = None
        if type(item) is Output:
            var = staged.jaxpr.outvars[item.index]
            eqn = None if isinstance(var, Literal) else makers.get(var)
        place = None if eqn is None else user_location(eqn.source_info)
        places.append(None if place is None else Location(*place))
    return places
