"""Places in the user's code, and callers, found in JAX's tracebacks and on Python's stack."""

import dis
import functools
import inspect
import os
import sys
import traceback
import types
from collections.abc import Iterator
from typing import Any

import jax
import jax.core
import jax.extend.source_info_util as source_info_util
from jax._src import (
    source_info_util as _source_info,  # private: user_frames (0.10 to 0.12)
    traceback_util,  # private: 0.10 to 0.12 (which frames are JAX's, and what is done with them)
)

from .jaxprs import Tracer


def user_location(source_info: Any, libraries: bool = False) -> tuple[str, int, int, str] | None:
    """File, line, column and function of the user's innermost frame, if one was recorded.

    With `libraries`, also the frame of a library other than JAX and ours.
    """
    for frame in _source_info.user_frames(source_info.traceback):
        if is_user_file(frame.file_name, libraries):
            return frame.file_name, frame.start_line, frame.start_column, frame.function_name
    return None


_CHECKERS, _LIBRARIES = (
    tuple(f"{os.sep}{name}{os.sep}" for name in names)
    for names in (
        ("jaxtyping", "beartype", "plum"),
        ("equinox", "diffrax", "optimistix", "lineax", "jaxtyping", "beartype", "plum"),
    )
)


def is_user_file(filename: str, libraries: bool = False) -> bool:
    """Whether a source file is the user's: not JAX's, ours, or that of a library that calls back.

    With `libraries`, files of libraries that call back count too, except those that check types.
    """
    if filename.startswith("<@") or not _source_info.is_user_filename(filename):
        return False
    passed_over = _CHECKERS if libraries else _LIBRARIES
    return not is_library_file(filename) or not any(name in filename for name in passed_over)


def is_library_file(filename: str) -> bool:
    """Whether a source file is of an installed package, which its user cannot edit."""
    return "site-packages" in filename or "dist-packages" in filename


def outward(frame: types.FrameType | None) -> Iterator[types.FrameType]:
    """The frames of Python's stack from this one on, the innermost first."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def module_of(frame: types.FrameType | None) -> str:
    """The name of the module whose code a frame runs; "" for no frame."""
    return "" if frame is None else frame.f_globals.get("__name__", "")


def called_of_jax() -> str | None:
    """The public function of JAX that the user's line calls, `jax.numpy.sin`, if one is known.

    It is the outermost one on Python's stack above the user's innermost line.
    """
    called = None
    for frame in outward(sys._getframe(1)):
        file = frame.f_code.co_filename
        if module_of(frame).startswith("jax."):
            called = _public_name(frame) or called
        elif is_user_file(file) and not file.startswith(_PACKAGE):
            break
    return called


def library_called() -> tuple[str, str] | None:
    """The library that the user's line calls and through which we were called, and its function.

    `("numpy", "diff")`; None where the user's line calls us, or a function written in C.
    """
    outermost = None
    for frame in outward(sys._getframe(1)):
        file = frame.f_code.co_filename
        if is_user_file(file) and not file.startswith(_PACKAGE):
            if not is_library_file(file):
                break
            outermost = frame
    else:
        return None
    return outermost and (module_of(outermost).partition(".")[0], outermost.f_code.co_name)


def _public_name(frame: Any) -> str | None:
    """The public name in JAX's namespaces of a frame's function, if it has one."""
    name = frame.f_code.co_name
    ufunc = frame.f_locals.get("self") if name == "__call__" else None
    if ufunc is not None:
        name = getattr(ufunc, "__name__", name)
    for module in [x for x in sys.modules if x.startswith(_NAMESPACES)]:
        found = getattr(sys.modules[module], name, None)
        if found is not None and (
            found is ufunc or getattr(inspect.unwrap(found), "__code__", None) is frame.f_code
        ):
            return f"{module}.{name}"
    return None


_NAMESPACES = ("jax.numpy", "jax.lax", "jax.nn", "jax.scipy", "jax.random", "jax.ops")


def asked_what_it_is(operators: bool = True) -> bool:
    """Whether `__jax_array__` is read only to find out what kind of object this is.

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


_TYPE_CHECKERS = tuple(f"{os.sep}{name}{os.sep}" for name in ("jaxtyping", "beartype", "typeguard"))
_WRAPPERS = (f"{os.sep}equinox{os.sep}", *_TYPE_CHECKERS)


def a_module_is_made() -> bool:
    """Whether Equinox asks for the leaves of the parts that it is about to make a module of.

    It searches them for functions that JAX has wrapped (0.11 to 0.13).
    """
    frame: Any = sys._getframe(1)
    while frame is not None and (
        module_of(frame).startswith(("sciquax.", "jax._src.tree_util"))
        or frame.f_code.co_filename.startswith("<@")
        or any(name in frame.f_code.co_filename for name in _TYPE_CHECKERS)
    ):
        frame = frame.f_back
    return module_of(frame).startswith("equinox._module")


def asked_by_the_user() -> bool:
    """Whether the user's own line calls `isinstance`, asked within a metaclass.

    Neither a checked annotation, which may name other classes too, nor a predicate that a tree
    function calls, for which anything but a value is a leaf anyway, counts.
    """
    frame: Any = sys._getframe(1)
    while frame.f_code.co_name in _ASKING or any(
        name in frame.f_code.co_filename for name in _TYPE_CHECKERS
    ):
        frame = frame.f_back
    filename = frame.f_code.co_filename
    of_the_user = is_user_file(filename) and not is_library_file(filename)
    return of_the_user and not module_of(frame.f_back).startswith(_TREES)


_ASKING = ("__instancecheck__", "_check_asked", "asked_by_the_user")
_TREES = (
    "jax._src.tree",
    "equinox.",
    "sciquax.core._compat.trees",
    "sciquax.core._stage.captured_trees",
)


def compared_as_static() -> bool:
    """Whether it is JAX or Equinox that compares, to find what was compiled: not a line of Python.

    Of 0.10 to 0.12 those compare static arguments and fields of modules, if need be through
    comparisons of what holds them, as a dataclass has them. A call of what `jax.jit` made looks
    into its cache at once, with no frame of JAX's.
    """
    frame: Any = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith(("jax.", "equinox.")):
            return True
        if frame.f_code.co_name not in ("__eq__", "__ne__") and not _is_ours(frame):
            return _calls_compiled(frame)
        frame = frame.f_back
    return False


_COMPILED = type(jax.jit(lambda: None))


def _calls_compiled(frame: Any) -> bool:
    """Whether a frame's line is calling what `jax.jit` made, as its code spells that."""
    if not dis.opname[frame.f_code.co_code[frame.f_lasti]].startswith("CALL"):
        return False
    found: Any = None
    for kind, name in _called(frame.f_code, frame.f_lasti):
        if kind == "LOAD_ATTR":
            found = inspect.getattr_static(found, name, None)
            found = getattr(found, "__func__", found)  # of a staticmethod
        else:
            places = (frame.f_locals, frame.f_globals)
            found = next((place[name] for place in places if name in place), None)
        if isinstance(found, _COMPILED) or found is jax.jit:
            return True
    return False


@functools.lru_cache(1024)
def _called(code: types.CodeType, offset: int) -> tuple[tuple[str, str], ...]:
    """How code spells what it calls at an offset: names and attributes, in order."""
    instructions = {x.offset: x for x in dis.get_instructions(code)}
    place = instructions[offset].positions
    if place is None or place.lineno is None:
        return ()
    start = (place.lineno, place.col_offset)
    out = []
    for x in instructions.values():
        at = x.positions
        if x.offset < offset and at is not None and (at.lineno, at.col_offset) == start:
            if x.opname.startswith("LOAD_") and isinstance(x.argval, str):
                kind = "LOAD_ATTR" if x.opname in ("LOAD_ATTR", "LOAD_METHOD") else "LOAD"
                out.append((kind, x.argval))
    return tuple(out)


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
    while frame is not None and not module_of(frame).startswith("jax."):
        frame = frame.f_back  # the type's own, and what checks its annotations
    if frame is not None and frame.f_code.co_name == "tree_unflatten":
        frame = frame.f_back
    if frame is None or frame.f_code.co_name != "vmap_f":
        return None
    leaves = jax.tree_util.tree_leaves(frame.f_locals.get("out_axes", 0))
    return [x for x in dict.fromkeys(leaves) if isinstance(x, int)]


_IN_BETWEEN = ("jax", "equinox", "sciquax")


def within_filter_vmap() -> bool:
    """Whether Equinox's `filter_vmap` is taking an argument or a result apart.

    It compares trees from before and after it removes or adds an axis (`_vmap_pmap.py`), until its
    `combine` puts them together.
    """
    for frame in outward(sys._getframe(1)):
        module, name = module_of(frame), frame.f_code.co_name
        if not module.startswith(_IN_BETWEEN) or module == "equinox._filters" and name == "combine":
            return False
        if module == "equinox._vmap_pmap" and name == "__call__":
            return True
    return False


def hide_frames(error: BaseException, ours: bool) -> None:
    """Remove JAX's frames and ours from an error's traceback, as JAX does where errors leave it.

    **Arguments**: the error, which is about to be raised again; and whether ours go
    too where it arose in one. JAX 0.10 to 0.12 hide or remove them by `jax_traceback_filtering`.
    """
    mode, frames = traceback_util._filtering_mode(), list(traceback.walk_tb(error.__traceback__))
    if mode == "off" or not frames or not ours and _is_ours(frames[-1][0]):
        return
    if mode == "tracebackhide":
        for frame, _ in frames:
            if _is_hidden(frame):
                frame.f_locals["__tracebackhide__"] = True
        return
    kept = None
    for frame, line in reversed(frames):
        if not _is_hidden(frame):
            kept = types.TracebackType(kept, frame, frame.f_lasti, line)
    error.__traceback__ = kept


def _is_ours(frame: Any) -> bool:
    """Whether a frame belongs to this package, or to the library that checks its annotations."""
    file = frame.f_code.co_filename
    return file.startswith((_PACKAGE, "<@")) or any(name in file for name in _CHECKERS)


def _is_hidden(frame: Any) -> bool:
    return _is_ours(frame) or frame.f_code.co_filename.startswith(_JAX)


def ended_in_raise(error: BaseException, outside: str) -> bool:
    """Whether an error comes from a `raise` statement in a file that is not below a folder."""
    last = error.__traceback__
    if last is None:
        return True
    while last.tb_next is not None:
        last = last.tb_next
    code = last.tb_frame.f_code
    if code.co_filename.startswith(outside):
        return False
    return dis.opname[code.co_code[last.tb_lasti]] == "RAISE_VARARGS"


_PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_JAX = os.path.join(os.path.dirname(jax.__file__), "")
source_info_util.register_exclusion(_PACKAGE)
traceback_util.register_exclusion(_PACKAGE)
