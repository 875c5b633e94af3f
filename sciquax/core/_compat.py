"""Everything private to JAX or Equinox, or different between their releases. Nowhere else.

Each entry names the release that needs it. JAX 0.12 merged `ClosedJaxpr` into `Jaxpr` and
described `scan`'s operands by flat trees; JAX 0.10 and 0.11 keep both apart.
"""

import contextlib
import dataclasses
import dis
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import jax.core
import jax.extend.core as jex_core
import jax.extend.source_info_util as source_info_util
import jax.tree_util as jtu
import numpy as np
from equinox._module._module import (
    _currently_initialising as _initialising,  # private: 0.13
    is_abstract_module,  # private: 0.13
)
from jax._src import (
    core as _jax_core,  # private: typeof (0.10 to 0.12)
    source_info_util as _source_info,  # private: user_frames (0.10 to 0.12)
)

Jaxpr = jex_core.Jaxpr
ClosedJaxpr: Any = jex_core.ClosedJaxpr  # pyright: ignore[reportPrivateImportUsage]
Literal = jex_core.Literal
DropVar = jex_core.DropVar
Primitive = jex_core.Primitive

Tracer = jax.core.Tracer
ShapedArray = jax.core.ShapedArray
eval_jaxpr = jax.core.eval_jaxpr


def typeof(x: Any) -> Any:
    """The abstract value of an array, tracer or Python scalar."""
    return _jax_core.typeof(x)


_NUMBERS = (bool, int, float, complex, np.generic, np.ndarray)


def as_array(x: Any) -> Any:
    """Python's and NumPy's numbers, which literals of jaxprs are, as JAX's; all else as it is."""
    if not isinstance(x, _NUMBERS) or getattr(x, "dtype", None) == jax.dtypes.float0:
        return x
    return jax.numpy.asarray(x)


def is_closed(jaxpr: Any) -> bool:
    """Whether a jaxpr found in an equation's parameters carries its own constants."""
    return isinstance(jaxpr, ClosedJaxpr)


def open_jaxpr(jaxpr: Any) -> tuple[Any, Sequence[Any]]:
    """The bare jaxpr and the constants of `jaxpr`, closed or not (they are one class in 0.12)."""
    if isinstance(jaxpr, ClosedJaxpr):
        return getattr(jaxpr, "jaxpr", jaxpr), jaxpr.consts
    return jaxpr, ()


def last_argument_names(closed: Any, count: int) -> list[str | None]:
    """What the user calls the last `count` operands of a jaxpr, as `state['x']`, if JAX knows."""
    info = getattr(open_jaxpr(closed)[0], "debug_info", None)
    names = list(getattr(info, "arg_names", None) or ())[-count:] if count else []
    return [*[None] * (count - len(names)), *[name or None for name in names]]


def all_inputs(jaxpr: Any, n_consts: int) -> list[Any]:
    """The variables that stand for a jaxpr's constants and operands, in this order.

    In 0.12 a jaxpr whose constants are held elsewhere counts their variables among its operands.
    """
    missing = n_consts - len(jaxpr.constvars)
    return list(jaxpr.invars) if missing == n_consts else [*jaxpr.constvars, *jaxpr.invars]


def closed_without_consts(closed: Any) -> tuple[Any, list[Any]]:
    """A closed jaxpr equal to `closed` whose constants are leading arguments, and those."""
    from jax._src.interpreters import partial_eval as pe  # private: 0.10 to 0.12

    jaxpr, consts = open_jaxpr(closed)
    if not consts:
        return closed, []
    if ClosedJaxpr is Jaxpr:  # 0.12: constants live on the jaxpr itself
        return pe.convert_constvars_jaxpr(jaxpr), list(consts)
    return ClosedJaxpr(pe.convert_constvars_jaxpr(jaxpr), ()), list(consts)


def as_open(closed: Any) -> Any:
    """For parameters that hold an open jaxpr (`remat2` before 0.12): drop the empty wrapper."""
    return closed if ClosedJaxpr is Jaxpr else closed.jaxpr


# -- scan: 0.10 and 0.11 count operands, 0.12 describes them by flat trees ------------------------


def scan_operands(operands: Sequence[Any], params: dict[str, Any]) -> tuple[list, list, list]:
    """Split a `scan` equation's operands into constants, carry and scanned inputs."""
    if "ft_in" in params:
        consts, carry, xs = (list(part) for part in params["ft_in"].update(operands).unpack())
        return consts, carry, xs
    n_consts, n_carry = params["num_consts"], params["num_carry"]
    operands = list(operands)
    return (
        operands[:n_consts],
        operands[n_consts : n_consts + n_carry],
        operands[n_consts + n_carry :],
    )


def scan_params(
    params: dict[str, Any], jaxpr: Any, n_consts: int, n_carry: int, n_xs: int, n_ys: int
) -> dict[str, Any]:
    """`params` of a `scan` equation for a new body with so many leaves."""
    if "ft_in" in params:
        from jax._src import (
            flattree as ft,  # private: 0.12  # pyright: ignore[reportAttributeAccessIssue]
        )

        nones = ft.nones
        return {
            **params,
            "jaxpr": jaxpr,
            "ft_in": ft.pack((nones(n_consts), nones(n_carry), nones(n_xs))),
            "ft_out": ft.pack((nones(n_carry), nones(n_ys))),
        }
    new = {**params, "jaxpr": jaxpr, "num_consts": n_consts, "num_carry": n_carry}
    if "linear" in params:
        new["linear"] = (False,) * (n_consts + n_carry + n_xs)
    return new


# -- equations ------------------------------------------------------------------------------------


def bind_equation(eqn: Any, operands: Sequence[Any]) -> Any:
    """Bind an equation's primitive again, as `jax.core.eval_jaxpr` does."""
    return eqn.primitive.bind(*operands, **eqn.primitive.get_bind_params(eqn.params))


def bodies(params: dict[str, Any]) -> Iterator[Any]:
    """The jaxprs among an equation's parameters."""
    for param in params.values():
        for item in param if isinstance(param, (tuple, list)) else (param,):
            if isinstance(item, (Jaxpr, ClosedJaxpr)):
                yield item


def equations(jaxpr: Any) -> Iterator[Any]:
    """The equations of a jaxpr and of the jaxprs within."""
    for eqn in open_jaxpr(jaxpr)[0].eqns:
        yield eqn
        for body in bodies(eqn.params):
            yield from equations(body)


def nothing_is_traced() -> bool:
    """Whether operations run at once: nothing is being traced, and `disable_jit` is off."""
    return _jax_core.trace_state_clean() and not getattr(jax.config, "jax_disable_jit")  # noqa: B009


def eager_callable(eqn: Any) -> Callable[..., Any]:
    """What runs an equation on concrete arrays, as binding its primitive does.

    Most primitives are compiled alone when bound, and JAX keeps the compiled function; asking it
    for that function (private, 0.10 to 0.12) leaves out the way there, four fifths of the time.
    For a call of a compiled function that takes ten times as long as calling one, so that a short
    one is compiled once more.
    """
    from jax._src import dispatch

    primitive, params = eqn.primitive, eqn.params
    if primitive.name == "jit" and _is_plain_call(params) and _is_short(params["jaxpr"]):
        jaxpr, consts = open_jaxpr(params["jaxpr"])
        return jax.jit(lambda *operands: eval_jaxpr(jaxpr, consts, *operands))
    implementation = getattr(primitive, "impl", None)
    if getattr(implementation, "func", None) is dispatch.apply_primitive:
        return dispatch.xla_primitive_callable(primitive, **params)
    return lambda *operands: bind_equation(eqn, operands)


def _is_short(jaxpr: Any) -> bool:
    return sum(1 for _ in equations(jaxpr)) <= 60


def _is_plain_call(params: dict[str, Any]) -> bool:
    """Whether a call of a compiled function says nothing but which."""
    stated = [*params["in_shardings"], *params["out_shardings"]]
    return (
        all(type(x).__name__ == "UnspecifiedValue" for x in stated)
        and not any(params["donated_invars"])
        and not any(x is not None for x in (*params["in_layouts"], *params["out_layouts"]))
        and not params["compiler_options_kvs"]
        and params["ctx_mesh"].empty
    )


_NOTHING = contextlib.nullcontext()


def current_context() -> Any:
    """The settings of now that equations carry (compute type, mesh...), an interned object."""
    return _jax_core.JaxprEqnContext()


def equation_context(eqn: Any, here: Any) -> Any:
    """The context manager of the settings an equation was staged under; none if they are `here`.

    Entering the same settings again is not idle in 0.10: JAX then keys its trace caches apart, and
    compiled functions and function-level rules would not be found.
    """
    return _NOTHING if eqn.ctx is here else eqn.ctx.manager


def user_location(source_info: Any) -> tuple[str, int, int, str] | None:
    """File, line, column and function of the user's innermost frame, if one was recorded."""
    for frame in _source_info.user_frames(source_info.traceback):
        if is_user_file(frame.file_name):
            return frame.file_name, frame.start_line, frame.start_column, frame.function_name
    return None


_LIBRARIES = tuple(
    f"{os.sep}{name}{os.sep}"
    for name in ("equinox", "diffrax", "optimistix", "lineax", "jaxtyping", "beartype", "plum")
)


def is_user_file(filename: str) -> bool:
    """Whether a source file is the user's: not JAX's, ours, or a library's that calls back."""
    if filename.startswith("<@") or not _source_info.is_user_filename(filename):
        return False
    return "site-packages" not in filename or not any(name in filename for name in _LIBRARIES)


def asked_what_it_is(operators: bool = True) -> bool:
    """Whether the caller's caller asks for `__jax_array__` to learn what it has before it.

    `array + value` asks the right operand for `__jax_array__` before Python can try
    `value.__radd__`; an operator that finds none returns NotImplemented, which is what we want.
    JAX 0.10 to 0.12 name these `_operator_*`. Equinox's `is_array_like` takes what has the method
    for an array; rules ask it of their operands, to tell arrays from values.
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and _stands_between(frame.f_code):
        frame = frame.f_back
    name = frame.f_code.co_name
    return name in _ARRAY_LIKE or (operators and name.startswith("_operator_"))


_ARRAY_LIKE = ("is_array_like", "is_inexact_array_like")


def _stands_between(code: Any) -> bool:
    """Our property, Equinox's `__getattribute__`, and the wrappers of a runtime type checker."""
    if code.co_name in _ARRAY_LIKE:
        return False
    return (
        code.co_name == "__jax_array__"
        or code.co_filename.startswith("<@")
        or any(name in code.co_filename for name in _WRAPPERS)
    )


_WRAPPERS = tuple(
    f"{os.sep}{name}{os.sep}" for name in ("equinox", "jaxtyping", "beartype", "typeguard")
)


def admit_operand(cls: type, aval: Callable[[Any], Any], convert: Callable[[Any], Any]) -> None:
    """Let instances of `cls` be given to `primitive.bind` and `lax` functions as they are.

    These do not ask for `__jax_array__`; they look types up in two tables (0.10 to 0.12), which
    say what the type's abstract value is and what array or tracer stands for it.
    """
    from jax._src import dtypes

    _jax_core.pytype_aval_mappings[cls] = aval
    dtypes.register_canonicalize_value_handler(cls, convert)


def jvp_jaxpr(
    params: dict[str, Any], zeros: Sequence[bool]
) -> tuple[Any, Sequence, Sequence[bool]]:
    """The jaxpr, constants and symbolic-zero outputs of a `custom_jvp_call` equation's rule."""
    return params["jvp_jaxpr_fun"].call_wrapped(*zeros)


def expand_hi_primitive(primitive: Any, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """What a `call_hi_primitive` of JAX 0.12 computes, in terms of other primitives."""
    return primitive.to_lojax(*operands, **params)


def fwd_jaxpr(params: dict[str, Any], perturbed: Sequence[bool]) -> tuple[Any, Sequence]:
    """The jaxpr and constants of a `custom_vjp_call` equation's forward rule."""
    flags = perturbed if params["symbolic_zeros"] else [True] * len(perturbed)
    return call_maybe_wrapped(params["fwd_jaxpr_thunk"], *flags)


def backward_results(results: Any) -> Any:
    """What a backward rule returned: the cotangents, without 0.12's log."""
    if isinstance(results, tuple) and len(results) == 2 and isinstance(results[0], list):
        return results[0]
    return results


def trace_context() -> Any:
    """The settings that change what tracing gives (x64, promotion, matmul precision, mesh...)."""
    from jax._src import config  # private: 0.10 to 0.12

    return config.trace_context()


def without_leading_axis(aval: Any) -> Any:
    return aval.update(shape=aval.shape[1:], sharding=None)


def with_leading_axis(aval: Any, length: int) -> Any:
    return aval.update(shape=(length, *aval.shape), sharding=None)


def batched_jaxpr(
    closed: Any, size: int, dims: Sequence[int | None]
) -> tuple[Any, Sequence[int | None]]:
    """The body that `vmap` gives a jitted call, the very object, and its outputs' batch axes.

    Private, 0.10 to 0.12: JAX caches these by the body, the axis and the dimensions.
    """
    from jax._src.interpreters import batching

    axis = batching.AxisData(_jax_core.no_axis_name, size, None, None)
    return batching.batch_jaxpr2(closed, axis, tuple(dims))


def aval_sharding(aval: Any) -> Any:
    """The sharding that belongs to a type (explicit meshes), or None."""
    sharding = getattr(aval, "sharding", None)
    mesh = getattr(sharding, "mesh", None)
    return sharding if mesh is not None and not mesh.empty and mesh._any_axis_explicit else None


def call_maybe_wrapped(fun: Any, *args: Any) -> Any:
    """Call a JAX-internal function object (`lu.WrappedFun`) or a plain callable."""
    return fun.call_wrapped(*args) if hasattr(fun, "call_wrapped") else fun(*args)


_RESULTS = {
    "eig": "EigResult",
    "eigh": "EighResult",
    "qr": "QRResult",
    "slogdet": "SlogdetResult",
    "svd": "SVDResult",
}


def named_result(function: Any, out: Any) -> Any:
    """The tuple that a function gave in place of JAX's own, with JAX's names of its fields."""
    if type(out) is not tuple:
        return out
    from jax._src.numpy import linalg  # private: 0.10 to 0.12 (the types are not exported)

    name = getattr(function, "__name__", "")
    if name not in _RESULTS or function is not getattr(jax.numpy.linalg, name):
        return out
    return getattr(linalg, _RESULTS[name])(*out)


def is_symbolic_zero(x: Any) -> bool:
    from jax._src import ad_util  # private: 0.10 to 0.12 (Zero is not exported)

    return isinstance(x, (jax.custom_derivatives.SymbolicZero, ad_util.Zero))


def zeros_of(x: Any) -> Any:
    """A dense array for a symbolic zero."""
    from jax._src import ad_util  # private: 0.10 to 0.12

    return (
        ad_util.instantiate(x) if isinstance(x, ad_util.Zero) else ad_util.zeros_like_aval(x.aval)
    )


def mapped_axis(x: Any) -> Any:
    """The axis that `jax.vmap` took from `x` to make this tracer, or None if it is not one.

    JAX 0.10 to 0.12 keep it as the tracer's `batch_dim`.
    """
    return getattr(x, "batch_dim", None) if isinstance(x, Tracer) else None


def axes_of_outputs() -> list[int] | None:
    """The `out_axes` of the `jax.vmap` that is putting its outputs together, if one is.

    JAX 0.10 to 0.12 do so in `vmap_f`, and tell an output nothing of where its new axis is.
    """
    frame = sys._getframe(1)
    while frame is not None and not frame.f_globals.get("__name__", "").startswith("jax."):
        frame = frame.f_back  # the type's own, and what checks its annotations
    if frame is not None and frame.f_code.co_name == "tree_unflatten":
        frame = frame.f_back
    if frame is None or frame.f_code.co_name != "vmap_f":
        return None
    leaves = jax.tree_util.tree_leaves(frame.f_locals.get("out_axes", 0))
    return [x for x in dict.fromkeys(leaves) if isinstance(x, int)]


# -- a trace of our own: private in 0.10 to 0.12 --------------------------------------------------


class AtOnceTracer(_jax_core.Tracer):
    """A value, to a function that is called with rules applied at once."""

    __slots__ = ("value",)

    def __init__(self, trace: Any, value: Any, aval: Any):
        super().__init__(trace, aval)
        self.value = value


class AtOnceTrace(_jax_core.Trace):
    """Hands each operation, with the values its operands stand for, to a function."""

    __slots__ = ("operation", "parent")

    def __init__(self, parent: Any, operation: Callable[..., Any]):
        super().__init__()
        self.parent, self.operation = parent, operation

    def process_primitive(self, primitive: Any, tracers: Any, params: Any) -> Any:
        operands = [x.value if type(x) is AtOnceTracer and x._trace is self else x for x in tracers]
        with _jax_core.set_current_trace(self.parent):
            results = self.operation(primitive, operands, params)
        # Arrays stay what they are: operations on them are bound under this trace too.
        out = [x if aval is None else AtOnceTracer(self, x, aval) for x, aval in results]
        return out if primitive.multiple_results else out[0]


@contextlib.contextmanager
def called_at_once(operation: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """While active, operations are handed to `operation`. Yields what makes a value an operand."""
    with _jax_core.take_current_trace() as parent:
        trace = AtOnceTrace(parent, operation)
        with _jax_core.set_current_trace(trace):
            yield lambda value, aval: AtOnceTracer(trace, value, aval)


def ended_in_raise(error: BaseException, outside: str) -> bool:
    """Whether an error comes from a `raise` statement in a file that is not below a folder."""
    traceback = error.__traceback__
    if traceback is None:
        return True
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    code = traceback.tb_frame.f_code
    if code.co_filename.startswith(outside):
        return False
    return dis.opname[code.co_code[traceback.tb_lasti]] == "RAISE_VARARGS"


# -- primitives that JAX does not export through jax.extend ---------------------------------------


def all_primitives() -> dict[str, Any]:
    """Every public primitive of this JAX, by name."""
    exported = jex_core.primitives
    found = {}
    for name in dir(exported):
        value = getattr(exported, name)
        if isinstance(value, Primitive):
            found[value.name] = value
    return found


def guard_array_type(kind: type, check: Callable[[Any], None]) -> None:
    """Have `check(x)` called on every `kind`, a subclass of NumPy's array, that JAX takes in.

    JAX looks a class up by its bases (`pytype_aval_mappings`, private, 0.10 to 0.12): what is not
    its own counts as an array of bare numbers.
    """
    mappings = _jax_core.pytype_aval_mappings
    base = mappings[np.ndarray]

    def aval_of(x: Any) -> Any:
        check(x)
        return base(x)

    mappings[kind] = aval_of


# -- Equinox: fast flattening ---------------------------------------------------------------------

_registration = threading.Lock()


@contextlib.contextmanager
def pytree_registration(
    flatten: Callable[..., Any],
    flatten_with_keys: Callable[..., Any],
    unflatten: Callable[..., Any],
) -> Iterator[None]:
    """While active, the `eqx.Module` being defined registers these pytree functions.

    Equinox 0.13 generates flattening code that checks for missing and wrapper fields; for a type
    that a jitted call may hold twenty of, that check is most of the call. There is no public way
    to give a module other functions, and JAX refuses a second registration.
    """

    def register(cls: Any) -> None:
        _register_pytree(
            cls,
            flatten_with_keys=flatten_with_keys,
            flatten_func=flatten,
            unflatten_func=lambda aux, children: unflatten(cls, aux, children),
        )

    with _registered_by(register):
        yield


@contextlib.contextmanager
def dataclass_registration(leaves: Sequence[str], static: Sequence[str]) -> Iterator[None]:
    """While active, the `eqx.Module` being defined is registered as a dataclass of these fields.

    JAX flattens it in C++, and unflattens it by calling the class with the fields as keywords.
    `==` of JAX's tree structures ignores the class of a dataclass (JAX 0.10 to 0.12).
    """

    def register(cls: Any) -> None:
        jtu.register_dataclass(cls, data_fields=[*leaves], meta_fields=[*static])

    with _registered_by(register):
        yield


_register_pytree = jtu.register_pytree_with_keys


@contextlib.contextmanager
def _registered_by(register: Callable[[Any], None]) -> Iterator[None]:
    with _registration:
        jtu.register_pytree_with_keys = lambda cls, **_: register(cls)
        try:
            yield
        finally:
            jtu.register_pytree_with_keys = _register_pytree


if TYPE_CHECKING:  # a class to type checkers, which need to know that values are data classes
    from equinox._module._module import _ModuleMeta as ModuleMeta
else:
    ModuleMeta = type(eqx.Module)


class _Construction(NamedTuple):
    """What to do after a module's `__init__`."""

    fields: tuple[str, ...]
    static: tuple[str, ...]
    converters: tuple[tuple[str, Callable], ...]
    checks: tuple[Callable, ...]


_constructions: dict[type, _Construction | None] = {}


def construct(cls: Any, slow: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Any:
    """`cls(*args, **kwargs)` for an Equinox module, without most of Equinox's checks of it.

    Rules build values all the time, and the checks are nine tenths of that. They also flatten the
    arguments, of which a static one need not be a pytree. Kept: abstract classes, missing fields,
    converters, `__check_init__`, and the warning about arrays in static fields. Private: Equinox
    0.13's set of the instances that may assign their fields.
    """
    try:
        plan = _constructions[cls]
    except KeyError:
        plan = _constructions[cls] = _plan(cls)
    if plan is None:
        return slow(*args, **kwargs)
    self = cls.__new__(cls, *args, **kwargs)
    try:
        if not isinstance(self, cls):
            return self
        cls.__init__(self, *args, **kwargs)
    finally:
        if self in _initialising:
            _initialising.remove(self)
    missing = [name for name in plan.fields if not hasattr(self, name)]
    if missing:
        raise TypeError(f"`{cls.__name__}.__init__` did not set {', '.join(missing)}.")
    for name, converter in plan.converters:
        object.__setattr__(self, name, converter(getattr(self, name)))
    for name in plan.static:
        if isinstance(getattr(self, name), jax.Array):
            warnings.warn(
                f"A JAX array is set as the static field `{name}` of `{cls.__name__}`.",
                stacklevel=3,
            )
    for check in plan.checks:
        check(self)
    return self


def _plan(cls: Any) -> _Construction | None:
    if cls.__abstractmethods__ or is_abstract_module(cls):
        return None
    fields = dataclasses.fields(cls)
    return _Construction(
        tuple(f.name for f in fields),
        tuple(f.name for f in fields if f.metadata.get("static", False)),
        tuple((f.name, c) for f in fields if (c := f.metadata.get("converter")) is not None),
        tuple(c.__dict__["__check_init__"] for c in cls.__mro__ if "__check_init__" in c.__dict__),
    )


Array_types = (jax.Array, np.ndarray, np.generic)

source_info_util.register_exclusion(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
