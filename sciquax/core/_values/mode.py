"""This thread's state: staging a user's function, calling one, or being observed."""

import contextlib
import functools
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import jax

from .._compat.execution import current_trace
from .._compat.frames import hide_frames
from .._errors import LocatedError


class Mode(threading.local):
    """The state of this thread, which decides what `__jax_array__` means.

    `staging`: a quaxified function is being traced; a value that meets a tracer is injected.
    `direct`: a quaxified function was called without values; if it turns out to have captured
    one, the call is abandoned and staged instead.
    `apart`: what is being traced was quaxified with a `filter_spec`, so that quaxified functions in
    it handle their own values rather than hand them over.
    `signature_rules_called`: how many rules of somebody's own have been called.
    `arrays_read`: how often a result was decided by what an array of one element holds.
    `transposing`: what is being traced will be transposed, so that derivatives get no labels.
    `deferring`: a program is interpreted that holds types which want formulas, see `formulas.py`.
    `trace`: JAX's trace that the quaxified function is called under.
    `observer`: who is told what the interpreter does, see `mode.py`.
    `numbers`: what the program that is interpreted states, see `stated.py`.
    """

    staging = False
    direct = False
    apart = False
    signature_rules_called = 0
    arrays_read = 0
    transposing = False
    deferring = False
    trace: Any = None
    observer: Any = None
    numbers: Any = None


MODE = Mode()


# JAX keeps the traces of jitted functions. What it traces while a function is staged is not what it
# traces elsewhere: captured values and functions with rules of their own leave equations there.
traced_for_staging = jax.make_user_context(0)


class _Generation:
    """How often functions were added that leave equations of their own. 0 is for all other code."""

    number = 1


def trace_anew() -> None:
    """Have nothing be found that was traced for staging so far."""
    _Generation.number += 1


@contextlib.contextmanager
def staging(apart: bool = False) -> Iterator[None]:
    """While a function of the user's is being traced for interpretation."""
    before = MODE.staging, MODE.direct, MODE.apart, MODE.trace
    MODE.staging, MODE.direct, MODE.apart, MODE.trace = True, False, apart, current_trace()
    try:
        with traced_for_staging(_Generation.number):
            yield
    finally:
        MODE.staging, MODE.direct, MODE.apart, MODE.trace = before


@contextlib.contextmanager
def not_staging() -> Iterator[None]:
    """While a staged program is interpreted, or a rule called: what is traced is JAX's own."""
    if not MODE.staging:
        yield
        return
    MODE.staging = False
    try:
        with traced_for_staging(0):
            yield
    finally:
        MODE.staging = True


@runtime_checkable
class Observer(Protocol):
    """A listener to the interpreter: jaxprs entered and left, equations before and after."""

    def enter(self, jaxpr: Any, n_consts: int, operands: Sequence[Any]) -> None: ...
    def leave(self) -> None: ...
    def before(self, eqn: Any) -> None: ...
    def after(self, results: Sequence[Any]) -> None: ...


@contextlib.contextmanager
def observed_by(observer: Observer) -> Iterator[None]:
    """While `observer` is told what the interpreter does. Nothing kept is used meanwhile."""
    before, MODE.observer = MODE.observer, observer
    try:
        yield
    finally:
        MODE.observer = before


# -- where errors leave to the user, whose traceback then has the lines of the user's alone


def leaving(error: Exception) -> None:
    """Take our frames and JAX's out of the traceback of an error that is about to be raised again.

    JAX's setting `jax_traceback_filtering` says whether and how. An error that is no refusal of
    ours, and arose in our code, keeps them: it is our mistake.
    """
    if not (MODE.staging or MODE.direct):
        hide_frames(error, ours=isinstance(error, LocatedError))


def boundary(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator of functions that users call: errors leave them without our frames."""

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            leaving(error)
            raise

    return called


def bound_methods(cls: type) -> None:
    """Make a boundary of each operator and public method of a class."""
    for name, method in list(vars(cls).items()):
        if isinstance(method, types.FunctionType) and (name[0] != "_" or name[:2] == "__"):
            setattr(cls, name, boundary(method))
