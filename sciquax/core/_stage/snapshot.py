"""Everything a Python function refers to, compared to see whether it changed between calls.

An un-jitted quaxified function must notice a global or a closure that has changed since the last
call, as un-jitted JAX does. So what it staged to is used again only if everything the function can
see is known and unchanged: its code and that of the functions it calls, the globals and closures
they name, their defaults. Anything that is not understood (an object with attributes, an import, a
`print`) means no: the function is staged anew.
"""

import builtins
import collections
import dataclasses
import dis
import functools
import inspect
import types
import weakref
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.tree_util as jtu
import numpy as np

from .._compat.jaxprs import Tracer
from .._values.kinds import VALUE_TYPES
from .._weak_cache import WeakCache

_PURE_LIBRARIES = frozenset(
    "jax jaxlib numpy math cmath operator _operator functools itertools collections typing "
    "sciquax".split()
)
_IMPURE_MODULES = ("numpy.random", "jax.experimental.io_callback")
_PURE_BUILTINS = frozenset(
    "abs all any bool complex dict divmod enumerate filter float frozenset int isinstance len list "
    "map max min pow range reversed round set slice sorted str sum tuple zip True False None "
    "Ellipsis NotImplemented issubclass callable repr type chr ord".split()
)
_CONSTANTS = (
    int,
    float,
    complex,
    str,
    bytes,
    bool,
    type(None),
    type(Ellipsis),
    np.generic,
    np.dtype,
)
_UNSAFE_OPCODES = frozenset(
    "STORE_GLOBAL DELETE_GLOBAL STORE_ATTR DELETE_ATTR IMPORT_NAME IMPORT_FROM LOAD_NAME "
    "LOAD_BUILD_CLASS YIELD_VALUE SEND".split()
)
_MAX_FUNCTIONS = 50
_STRUCTURAL = ("equinox", "abc", "typing", "collections")  # whose classes do nothing by themselves
_HOLDERS = (functools.partial, jax.custom_jvp, jax.custom_vjp)
_MADE_BY_PYTHON = frozenset(
    "__module__ __doc__ __dict__ __weakref__ __slots__ __annotations__ __annotations_cache__ "
    "__annotate__ __annotate_func__ __firstlineno__ __static_attributes__ __abstractmethods__ "
    "__abstractvars__ __abstractclassvars__ __dataclass_params__ __dataclass_fields__ __replace__ "
    "__match_args__ __init__ __post_init__ __parameters__ __orig_bases__ _abc_impl".split()
)
_MISSING = object()


_JITTED = type(jax.jit(lambda: None))
FUNCTIONS = (types.FunctionType, _JITTED, *_HOLDERS)


class Unseen(Exception):
    """Internal: a function sees something that may change without notice."""


_names_of_code = WeakCache()


def _names(code: types.CodeType) -> tuple[tuple[str, ...], ...] | None:
    """The globals that code names, each with the attributes taken of it; inner code included.

    None if it does what cannot be followed.
    """
    found = _names_of_code.get(code, ())
    if found is None:
        try:
            found = tuple(dict.fromkeys(_chains(code, code.co_freevars)))
        except Unseen:
            found = "unseen"
        _names_of_code.put(code, (), found)
    return None if found == "unseen" else found


def _chains(code: types.CodeType, outer_free: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    chain: list[str] = []
    handlers = 0  # of `except` and `finally`, in which what only tracing refuses may end
    for instruction in dis.get_instructions(code):
        name = instruction.opname
        if name in _UNSAFE_OPCODES and (name, code.co_name) != ("YIELD_VALUE", "<genexpr>"):
            raise Unseen
        handlers += (name == "PUSH_EXC_INFO") - (name == "WITH_EXCEPT_START")
        if name == "STORE_DEREF" and instruction.argval in outer_free:
            raise Unseen
        if name == "LOAD_GLOBAL":
            if chain:
                yield tuple(chain)
            chain = [instruction.argval]
        elif name in ("LOAD_ATTR", "LOAD_METHOD") and chain:
            chain.append(instruction.argval)
        elif name not in ("CACHE", "PUSH_NULL", "PRECALL", "EXTENDED_ARG") and chain:
            yield tuple(chain)
            chain = []
    if handlers:
        raise Unseen
    if chain:
        yield tuple(chain)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _chains(constant, outer_free)


class Snapshot:
    """Everything a function sees, and whether it still does.

    Functions are held weakly, so that what is kept for one does not keep it alive. What is called
    is one of `FUNCTIONS`, or an Equinox module: that is known by its class; what it holds is not
    looked at again, for that is part of the call.
    """

    def __init__(self, function: Any):
        self._looked_up: list[tuple[Any, str, Any]] = []
        self._cells: list[tuple[Any, int, Any]] = []
        self._functions: dict[Any, tuple[Any, Any, Any]] = {}
        self._classes: dict[type, dict[str, Any]] = {}
        self._partials: list[tuple[Any, dict[str, Any]]] = []
        self._library: set[int] = set()
        (self._vet if type(function) in FUNCTIONS else self._vet_called)(function)

    def still_holds(self) -> bool:
        for cls, before in self._classes.items():
            now = vars(cls)
            if len(now) != len(before) or not all(_same(now.get(k), before[k]) for k in before):
                return False
        for reference, before in self._partials:
            partial = reference()
            if partial is None or partial.keywords.keys() != before.keys():
                return False
            if not all(_same(partial.keywords[k], before[k]) for k in before):
                return False
        for reference, i, before in self._cells:
            try:
                if not _same(reference().__closure__[i].cell_contents, before):
                    return False
            except (ValueError, AttributeError):  # emptied, or the function is gone
                return False
        for owner, name, before in self._looked_up:
            module = type(owner) is not dict
            now = getattr(owner, name, _MISSING) if module else owner.get(name, _MISSING)
            if not _same(now, before):
                return False
        for reference, (code, defaults, keywords) in self._functions.items():
            f = reference()
            if f is None or f.__code__ is not code or f.__defaults__ is not defaults:
                return False
            if f.__kwdefaults__ != keywords:
                return False
        return True

    def _follow(self, function: types.FunctionType) -> None:
        reference = weakref.ref(function)
        if reference in self._functions:
            return
        keywords = function.__kwdefaults__
        self._functions[reference] = (
            function.__code__,
            function.__defaults__,
            None if keywords is None else dict(keywords),
        )
        if len(self._functions) > _MAX_FUNCTIONS:
            raise Unseen
        names = _names(function.__code__)
        if names is None:
            raise Unseen
        for default in (*(function.__defaults__ or ()), *(keywords or {}).values()):
            self._vet(default)
        for i, cell in enumerate(function.__closure__ or ()):
            try:
                contents = cell.cell_contents
            except ValueError:
                raise Unseen from None
            self._cells.append((reference, i, _held(contents)))
            self._vet(contents)
        for chain in names:
            self._look_up(function, chain)

    def _look_up(self, function: types.FunctionType, chain: tuple[str, ...]) -> None:
        name, *attributes = chain
        scope = function.__globals__
        if name in scope:
            found = scope[name]
            self._looked_up.append((scope, name, _held(found)))
        else:
            found = getattr(builtins, name, _MISSING)
            if name not in _PURE_BUILTINS and not _is_error(found):
                raise Unseen
            self._looked_up.append((scope, name, _MISSING))
            return
        for attribute in attributes:
            if isinstance(found, types.FunctionType):  # `f.count`, which anybody may set
                raise Unseen
            if not isinstance(found, types.ModuleType):
                break
            owner, found = found, getattr(found, attribute, _MISSING)
            self._looked_up.append((owner, attribute, _held(found)))
        self._vet(found)

    def _vet(self, x: Any) -> None:
        """Accept an object that cannot change without another check failing."""
        if isinstance(x, _CONSTANTS) or (isinstance(x, jax.Array) and not _is_tracer(x)):
            return
        if type(x) in VALUE_TYPES:
            for leaf in jtu.tree_leaves(x):
                self._vet(leaf)
            return
        if isinstance(x, (tuple, frozenset)):
            for item in x:
                self._vet(item)
            return
        if isinstance(x, _HOLDERS):
            self._vet_held(x)
            return
        if isinstance(x, types.ModuleType):
            if not _is_pure_library(x.__name__):
                raise Unseen
            return
        if isinstance(x, types.FunctionType):  # `jax.vmap(f)` has the module's name of `f`
            module = x.__globals__.get("__name__") or ""
        else:
            module = getattr(x, "__module__", None) or ""
        if x is Tracer:  # to ask whether an array is one
            raise Unseen
        if isinstance(x, type):
            if module == "builtins" and x.__name__ in _PURE_BUILTINS or _is_pure_library(module):
                return
            if not _is_error(x):
                self._vet_made(x)
            return
        if _is_pure_library(module) and callable(x) and not isinstance(x, types.MethodType):
            self._vet_held(x)
            return
        if isinstance(x, types.FunctionType):
            self._follow(x)
            return
        if isinstance(x, types.BuiltinFunctionType) and _is_pure_library(module):
            return
        if hasattr(x, "__wrapped__") and _is_pure_library(type(x).__module__):
            self._vet_held(x)
            return
        raise Unseen

    def _vet_held(self, x: Any) -> None:
        """Vet the parts of a library's callable: the user's functions that it calls."""
        if id(x) in self._library:
            return
        self._library.add(id(x))
        wrapped = getattr(x, "__wrapped__", None)  # `quaxify(f)`, `jax.jit(f)`
        if wrapped is not None and wrapped is not x:
            self._vet(wrapped)
        if isinstance(x, functools.partial):
            for part in (x.func, *x.args, *x.keywords.values()):
                self._vet(part)
            keywords = {name: _held(part) for name, part in x.keywords.items()}
            self._partials.append((weakref.ref(x), keywords))
        elif isinstance(x, (jax.custom_jvp, jax.custom_vjp)):
            for name in ("fun", "jvp", "fwd", "bwd"):
                part = getattr(x, name, None)
                if part is not None:
                    self._vet(part)
        elif isinstance(x, types.FunctionType):
            for cell in x.__closure__ or ():
                try:
                    parts = cell.cell_contents
                except ValueError:
                    raise Unseen from None
                for part in parts if isinstance(parts, (tuple, list)) else (parts,):
                    if isinstance(part, (types.FunctionType, *_HOLDERS)):
                        self._vet(part)

    def _vet_called(self, x: Any) -> None:
        """Vet a part of a module that is called: its structure is known, the arrays may be any."""
        if isinstance(x, eqx.Module) and type(x) not in VALUE_TYPES:
            for cls in type(x).__mro__:
                self._vet_class(cls)
            for field in dataclasses.fields(x):
                part = getattr(x, field.name, None)
                (self._vet if field.metadata.get("static") else self._vet_called)(part)
        elif isinstance(x, (tuple, list)):
            for part in x:
                self._vet_called(part)
        elif isinstance(x, dict):
            for part in x.values():
                self._vet_called(part)
        else:
            self._vet(x)

    def _vet_made(self, cls: type) -> None:
        """Vet a class that is called: a dataclass or a named tuple, whose methods are known."""
        made = vars(cls).get("__init__", vars(cls).get("__new__"))
        if type(cls).__module__.split(".")[0] not in ("builtins", *_STRUCTURAL):
            raise Unseen
        if not (dataclasses.is_dataclass(cls) and _is_generated(made)) and not _is_named_tuple(cls):
            raise Unseen
        if hasattr(cls, "__post_init__"):
            self._vet(cls.__post_init__)
        for base in cls.__mro__:
            self._vet_class(base)

    def _vet_class(self, cls: type) -> None:
        if cls in self._classes or _is_pure_library(cls.__module__) or cls is object:
            return
        if cls.__module__.split(".")[0] in _STRUCTURAL:
            return
        if "<locals>" in cls.__qualname__:  # what is kept would keep it alive
            raise Unseen
        self._classes[cls] = {name: _held(x) for name, x in vars(cls).items()}
        for name, x in vars(cls).items():
            if name in _MADE_BY_PYTHON or _is_generated(x):
                continue
            if _is_named_tuple(cls) and (name in cls._fields or name in _OF_TUPLES):
                continue
            if isinstance(x, property):
                x = x.fget
            elif isinstance(x, (staticmethod, classmethod)):
                x = x.__func__
            self._vet(x)


def _is_error(x: Any) -> bool:
    return isinstance(x, type) and issubclass(x, Exception)


def _is_generated(x: Any) -> bool:
    """Whether a method was written by `dataclasses`."""
    code = getattr(inspect.unwrap(x) if callable(x) else x, "__code__", None)
    return getattr(code, "co_qualname", "").startswith("__create_fn__")


def _is_named_tuple(cls: Any) -> bool:
    return cls.__bases__[0] is tuple and type(cls) is type and hasattr(cls, "_fields")


_OF_TUPLES = frozenset(vars(collections.namedtuple("_OF_TUPLES", ""))) | {"__orig_bases__"}


def _is_tracer(x: Any) -> bool:
    return isinstance(x, Tracer)


def _is_pure_library(name: str) -> bool:
    return name.split(".")[0] in _PURE_LIBRARIES and not name.startswith(_IMPURE_MODULES)


def _held(x: Any) -> Any:
    """The reference to an object that a snapshot keeps, a weak one to a function."""
    return weakref.ref(x) if isinstance(x, types.FunctionType) else x


def _same(now: Any, before: Any) -> bool:
    if now is before:
        return True
    if type(before) is weakref.ref:
        return before() is now
    if type(now) is float and type(before) is float:
        return now.hex() == before.hex()
    return type(now) is type(before) and isinstance(now, (int, str, bool)) and now == before


def snapshot(function: Any) -> Snapshot | None:
    """The objects that a function refers to, or None if they cannot be found."""
    try:
        return Snapshot(function)
    except Unseen:
        return None
