"""Redirect the calls of a Python function to another one, whatever name it is called by.

The function object stays the same, so that every reference to it (imports made before, partials,
jitted functions, tables of JAX's) calls the other one. Only its code is exchanged.
"""

import functools
import inspect
import os
import sys
import types
from collections.abc import Callable, Container
from typing import Any

import jax.extend.source_info_util as source_info_util

from .frames import module_of, outward


def python_function(function: Any) -> types.FunctionType | None:
    """The innermost Python function of a public one, below what jits or differentiates it."""
    while True:
        inner = getattr(function, "__wrapped__", None)
        if inner is None and isinstance(function, functools.partial):
            inner = function.func
        if inner is None:
            return function if isinstance(function, types.FunctionType) else None
        function = inner


# From text, since what instruments our functions (a runtime type checker) must not have this one.
_HOOK = "the function that every call passes through"
_TEMPLATE: types.CodeType = eval(
    f"lambda *args, **kwargs: (hook := {_HOOK!r})(*args, **kwargs)"
).__code__


def pass_through(
    function: types.FunctionType, hook_for: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> None:
    """Send every call of a function to `hook_for(original)`; `original` does what the function did.

    Assigning code costs CPython what it has learnt about the function, once and not at each call.
    """
    old = function.__code__
    original = types.FunctionType(
        old, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    original.__kwdefaults__ = function.__kwdefaults__
    original.__qualname__, original.__module__ = function.__qualname__, function.__module__
    signature = inspect.signature(function)
    hook = hook_for(original)
    # Places in errors, and what JAX counts as its own code, go by the file.
    code = _TEMPLATE.replace(
        co_consts=tuple(hook if c == _HOOK else c for c in _TEMPLATE.co_consts),
        co_freevars=old.co_freevars,
        co_name=old.co_name,
        co_qualname=old.co_qualname,
        co_filename=old.co_filename,
        co_firstlineno=old.co_firstlineno,
    )
    function.__signature__ = signature  # pyright: ignore[reportFunctionMemberAccess]
    function.__code__ = code


def is_inlined(function: Any) -> bool:
    """Whether JAX inlines a jitted function where it is called, so that no call of it is left.

    JAX 0.10 to 0.12 keep the choice in `_jit_info`, as a bool or as `jax.Inline`.
    """
    inline = getattr(getattr(function, "_jit_info", None), "inline", False)
    return inline is True or getattr(inline, "name", "") == "JAX_EARLY"


# What JAX writes its own functions in. Its transformations call a function for the user, and so do
# the modules of the second list.
_FUNCTIONS_OF_JAX = (
    "jax.numpy",
    "jax.scipy",
    "jax.experimental",
    "jax.example_libraries",
    *(f"jax._src.{name}" for name in ("numpy", "scipy", "lax", "nn", "random", "image", "ops")),
)
_CARRIERS = ("jax._src.numpy.vectorize", "jax._src.lax.control_flow")


def called_by_jax(function: types.FunctionType) -> bool:
    """Whether a function of JAX's, not a transform, made the current call of `function`."""
    return _is_jax(_caller_of(function))


def called_by_the_user(function: types.FunctionType) -> bool:
    """Whether neither a function of JAX's nor this package made the current call of `function`."""
    caller = _caller_of(function)
    return not _is_jax(caller) and not caller.startswith(_HOUSE)


_HOUSE = f"{__name__.partition('.')[0]}."


def _caller_of(function: types.FunctionType) -> str:
    """The module that made the current call of `function`."""
    calls = (x for x in outward(sys._getframe()) if x.f_code is function.__code__)
    call = next(calls, None)
    return module_of(call and call.f_back)


def written_by_jax(traceback: Any) -> bool:
    """Whether this traceback's equation comes from a function of JAX's that calls another."""
    for frame in () if traceback is None else traceback.frames:
        folder, _, name = frame.file_name.rpartition(f"jax{os.sep}")
        if not folder.endswith(os.sep):
            return False  # no file of JAX's
        module = "jax." + name.removesuffix(".py").replace(os.sep, ".")
        if module.count(".") > 2 and not module.startswith("jax._src.interpreters"):
            return _is_jax(module)  # beneath is what traces
    return False


def function_within(names: Container[str]) -> str | None:
    """The function of JAX's, of these names, that the equation at hand was made within."""
    traceback = source_info_util.current().traceback
    for frame in () if traceback is None else traceback.frames:
        if not frame.file_name.rpartition(f"jax{os.sep}")[0].endswith(os.sep):
            return None  # no file of JAX's
        if frame.function_name in names:
            return frame.function_name
    return None


_LIBRARIES = tuple(
    f"{os.sep}jax{os.sep}{part}"
    for part in (*(f"_src{os.sep}{name}" for name in ("scipy", "nn", "random", "image")),
                 "scipy", "nn", "experimental")
)  # fmt: skip


def within_library_of_jax() -> bool:
    """Whether JAX's code for statistics, rotations, networks and the like made the equation."""
    traceback = source_info_util.current().traceback
    for frame in () if traceback is None else traceback.frames:
        if any(part in frame.file_name for part in _LIBRARIES):
            return True
        if not frame.file_name.rpartition(f"jax{os.sep}")[0].endswith(os.sep):
            return False  # no file of JAX's
    return False


def _is_jax(module: str) -> bool:
    return module.startswith(_FUNCTIONS_OF_JAX) and not module.startswith(_CARRIERS)
