"""Numbers that the program states: literals, its own small arrays, and what it makes of these.

`r ** 1.5` has a unit since 1.5 stands in the program. Its derivative has `1.5 - 1.0` there, a call
of a jitted function has the number among its operands. So while a jaxpr is interpreted, `Numbers`
keeps beside its values which variables the program states, and computes one on the host when it is
asked for. Only those ask who decide by it: the exponent of a power, the index of a conditional, a
rule that looks for zeros (`stated_number`). The program that is emitted is what it would be.

A body of a function is staged once for many numbers. Its stated operands are handed to it as
`Stated`, and what was asked of them, with the answers, is part of what the staged body is kept by
(`core/_higher_order/bodies.py`): 50 calls of `step(x, float(i))` are staged once, if no one asks.
"""

from collections.abc import Callable, Container, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from .._compat.jaxprs import Literal, Tracer
from .early_constants import is_early_constant
from .folding import (
    HOLDS_BODIES,
    MOST,
    Number,
    fold,
    foldable,
    number_of_constant,
    number_of_literal,
    only,
    stated_outputs,
)
from .kinds import VALUE_TYPES, aval_of
from .mode import MODE
from .unit_polymorphic import UnitPolymorphic, is_polymorphic_constant, strip

Question = Callable[[Number], Any]


def whole(number: Number) -> Number:
    """The question for the number itself."""
    return number


def scalar(number: Number) -> Any:
    """The question for the one number, as a NumPy scalar."""
    return only(number)


def vanishes(number: Number) -> bool:
    """The question whether it is zero."""
    return not number.any()


def is_finite(number: Number) -> bool:
    """The question whether it is neither infinite nor nan."""
    return bool(np.isfinite(number).all())


class AboutProgram(NamedTuple):
    """A question about how a program makes a variable rather than what number that is."""

    answer: Callable[["Numbers", Any], Any]

    def __call__(self, number: Number) -> None:
        """Return None: from the number alone nothing is known."""


@runtime_checkable
class Source(Protocol):
    """A source that answers questions about an operand's number. Any answer may be None.

    `data` says whether a captured array of one element counts.
    """

    def ask(self, question: Question, data: bool) -> Any: ...


class Stated:
    """An operand of a body that is a number which the program states; `inner` is the operand."""

    __slots__ = ("inner", "source")

    def __init__(self, inner: Any, source: Source):
        self.inner, self.source = inner, source


jtu.register_pytree_node(
    Stated, lambda x: ((x.inner,), x.source), lambda source, inner: Stated(inner[0], source)
)


def bare(x: Any) -> Any:
    """An operand of a body without the facts known about it."""
    return x.inner if type(x) is Stated else x


class _Variable(NamedTuple):
    """A variable of a jaxpr being interpreted, or a literal, as a source."""

    numbers: "Numbers"
    var: Any

    def ask(self, question: Question, data: bool) -> Any:
        return self.numbers.ask(self.var, question, data)


class Numbers:
    """The variables of a jaxpr that the program states, and their numbers on demand.

    **Attributes**: `at`, the variables and the operands of the equation at hand; `made`, the
    sources, constants and equations to fold of the stated variables. Where literals are trusted
    (`trust.py`), also `place`, the line of the equation at hand, and `picked`, the equations that
    put stated numbers together by data; and values may be stated, `full_like(q, 2.0)`.
    """

    __slots__ = ("_known", "_values_too", "at", "made", "picked", "place")

    def __init__(self, trusting: bool):
        self._values_too = trusting
        self.made: dict[Any, Any] = {}
        self.picked: dict[Any, Any] = {}
        self._known: tuple[dict[Any, Any], dict[Any, Any]] = ({}, {})
        self.at: tuple[Sequence[Any], Sequence[Any]] = ((), ())
        self.place: str | None = None

    def enter(
        self,
        inputs: Sequence[Any],
        consts: Sequence[Any],
        operands: Sequence[Any],
        data: Container[int] = (),
    ) -> list[Any]:
        """The values of a jaxpr's inputs: constants of every unit marked, operands unwrapped.

        JAX keeps the program's own arrays, and NumPy's, in NumPy's. `data` holds the ids of
        constants that were passed to the program.
        """
        values = []
        for var, x in zip(inputs, (*consts, *operands), strict=True):
            if type(x) is Stated:
                self.made[var], x = x.source, x.inner
            elif len(values) < len(consts) and id(x) not in data:
                if isinstance(x, np.ndarray) and x.size <= MOST:
                    self.made[var] = x
                    x = UnitPolymorphic(x) if is_polymorphic_constant(x) else x
                elif isinstance(x, jax.Array) and is_early_constant(x):
                    x = UnitPolymorphic(x)
                elif isinstance(x, jax.Array) and not isinstance(x, Tracer) and x.ndim == 0:
                    self.made[var] = x
            values.append(x)
        return values

    def note(self, eqn: Any) -> bool:
        """Note an equation that was carried out: whether the program states a result of it."""
        made = self.made
        if eqn.primitive.name not in HOLDS_BODIES:  # the shortest way for nearly all equations
            for v in eqn.invars:
                if type(v) is not Literal and v not in made:
                    return False
        known = [type(v) is Literal or v in made for v in eqn.invars]
        flags = foldable(eqn, known)
        if not any(flags):
            return False
        made.update((var, eqn) for var, flag in zip(eqn.outvars, flags, strict=True) if flag)
        return True

    def forget(self, eqn: Any) -> None:
        for var in eqn.outvars:
            self.made.pop(var, None)

    def is_stated(self, var: Any) -> bool:
        """Whether the program states a variable, or puts stated numbers together for it."""
        return type(var) is Literal or var in self.made or var in self.picked

    def passed_on(self, operands: Sequence[Any]) -> list[Any]:
        """The operands of the equation at hand, the stated ones marked, for a body."""
        return [
            Stated(x, _Variable(self, var))
            if self.is_stated(var) and (self._values_too or type(strip(x)) not in VALUE_TYPES)
            else x
            for var, x in zip(self.at[0], operands, strict=True)
        ]

    def ask(self, var: Any, question: Question = whole, data: bool = False) -> Any:
        """The answer to a question about a variable; None if it is not stated."""
        if isinstance(question, AboutProgram):
            return question.answer(self, var)
        roots = self._roots(var)
        if len(roots) == 1 and question is not whole:  # what is made of one is not told apart
            (root,) = roots
            asked = question if root is var else _Folded(self, var, root, question, data)
            return self.made[root].ask(asked, data)
        return _answer(question, self.number(var, self._known[data], data))

    def _roots(self, var: Any) -> set[Any]:
        """The operands that a variable is made of, of which others than this jaxpr know."""
        waiting, seen, roots = [var], set(), set()
        while waiting:
            var = waiting.pop()
            if type(var) is Literal or var in seen:
                continue
            seen.add(var)
            made = self.made.get(var)
            if isinstance(made, (_Variable, Asked)):
                roots.add(var)
            elif made is not None and not isinstance(made, (np.ndarray, jax.Array)):
                waiting += made.invars
        return roots

    def own_number(self, var: Any) -> Number | None:
        """The number of a variable that is the same for every caller of the program; else None."""
        own = type(var) is Literal or (var in self.made and not self._roots(var))
        return self.number(var, self._known[False], False) if own else None

    def number(self, var: Any, known: dict[Any, Any], data: bool) -> Number | None:
        """The number that a variable is, given others, without recursion: a program may be long."""
        if type(var) is Literal:
            return number_of_literal(var)
        waiting = [var]
        while waiting:
            made = self.made.get(waiting[-1])
            if waiting[-1] in known:
                waiting.pop()
            elif isinstance(made, (_Variable, Asked)):
                known[waiting[-1]] = made.ask(whole, data)
            elif isinstance(made, np.ndarray):
                known[waiting[-1]] = number_of_constant(made)
            elif made is None or isinstance(made, jax.Array):
                known[waiting[-1]] = _read(made) if data else None
            elif missing := [v for v in made.invars if type(v) is not Literal and v not in known]:
                waiting += missing
            else:
                read = lambda v: number_of_literal(v) if type(v) is Literal else known[v]  # noqa: E731
                given = [*map(read, made.invars)]
                known.update(zip(made.outvars, fold(made, given), strict=True))
        return known[var]


class _Folded(NamedTuple):
    """Turns a question about a variable into one about the single operand that it is made of."""

    numbers: Numbers
    var: Any
    root: Any
    question: Question
    data: bool

    def __call__(self, number: Number) -> Any:
        return _answer(self.question, self.numbers.number(self.var, {self.root: number}, self.data))


def _answer(question: Question, number: Number | None) -> Any:
    of_one = question is not whole and type(question) is not _Folded
    return None if number is None or of_one and number.size != 1 else question(number)


def _read(x: Any) -> Number | None:
    """The number in a captured array of one element."""
    if x is None or not (jnp.issubdtype(x.dtype, np.number) or x.dtype == bool):
        return None
    MODE.arrays_read += 1
    return np.asarray(x)


class Asked:
    """An operand of a body as a source: what is asked of it while the body is staged is kept.

    Once the body is staged, it is another call's too, whose number is not known here: then only
    what was asked before is answered.
    """

    __slots__ = ("answers", "position", "source")

    def __init__(self, position: int, source: Source, answers: dict[Any, Any]):
        self.position, self.answers = position, answers
        self.source: Source | None = source

    def ask(self, question: Question, data: bool) -> Any:
        key = self.position, question, data
        if key not in self.answers:
            if self.source is None:
                return _answer(question, self.answers.get((self.position, whole, data)))
            self.answers[key] = self.source.ask(question, data)
        return self.answers[key]

    def end(self) -> None:
        """End the questions: the body is staged."""
        self.source = None


def as_literal(x: Any) -> Any:
    """An operand of a body, as the number that it is where that is known."""
    if type(x) is not Stated or (number := x.source.ask(whole, True)) is None:
        return bare(x)
    aval = aval_of(x.inner)
    return number.item() if aval.weak_type else np.broadcast_to(number, aval.shape)


def marked(eqn: Any, results: Sequence[Any]) -> list[Any]:
    """The results of a call on plain operands, those of every unit marked as such."""
    numbers = stated_outputs(eqn) or [None] * len(results)
    return [
        UnitPolymorphic(x) if number is not None and is_polymorphic_constant(number) else x
        for x, number in zip(results, numbers, strict=True)
    ]


def stated_number(x: Any, question: Question = scalar, data: bool = False) -> Any:
    """The number that the program states for an operand, in a rule: of the equation at hand.

    **Arguments**

    - `x`: the operand, perhaps a polymorphic constant.
    - `question`: what is to be known of the number, an array of one element, if not all of it: a
      function of a module that gives something hashable. A jitted function within is compiled anew
      where the answer is another, so ask no more than decides.
    - `data`: whether a captured array of one element, such as `jnp.float32(2)`, counts as stated.

    **Returns** the number as a NumPy scalar, or the answer; None for what is not stated, or is
    several numbers.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.core import stated_number, vanishes
    >>> float(stated_number(1.5)), stated_number(0.0, vanishes), stated_number(jnp.float32(1.5))
    (1.5, True, None)

    ```
    """
    x = strip(x)
    number: Any = None
    if isinstance(x, (bool, int, float, complex, np.generic)):
        number = np.asarray(x)
    elif isinstance(x, np.ndarray):
        number = number_of_constant(x)
    elif type(x) not in VALUE_TYPES and (source := operand_at_hand(x)) is not None:
        return source.ask(question, data)
    return _answer(question, number)


def operand_at_hand(x: Any) -> Source | None:
    """The source for the number of an operand of the current equation."""
    if (numbers := MODE.numbers) is not None:
        for var, operand in zip(*numbers.at, strict=True):
            if strip(operand) is x:
                return _Variable(numbers, var)
    return None
