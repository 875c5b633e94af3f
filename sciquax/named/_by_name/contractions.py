"""`dot` and `einsum`: sums of products over names."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp

from sciquax.core import user_line
from sciquax.core.internal import wanted

from .._array.axes import Axes, as_names, axes, met, name_of
from .._array.base import N, NamedBase, bare
from .._array.errors import (
    AxisError,
    absent,
    repeated,
    show_dims,
    suggestion,
)
from .alignment import _operands, size_mismatch
from .call_jax import apply


class Labelled(NamedTuple):
    """Operands whose axes carry labels: equal labels are one index."""

    arrays: Sequence[NamedBase]
    labels: list[tuple[str, ...]]


def _contract(op: str, given: Labelled, output: tuple[str, ...], **kwargs: Any) -> Any:
    sizes: dict[str, int] = {}
    layouts: list[Axes] = []
    for a, labels in zip(given.arrays, given.labels, strict=True):
        for label, size in zip(labels, a.shape, strict=True):
            if sizes.setdefault(label, size) != size:
                raise size_mismatch(op, label, [sizes[label], size]).at(user_line())
        called = dict(zip(a.dims, labels, strict=True))
        coords = {called[n]: c for n, c in a._axes.coords.items()}
        beside = {n: c.renamed(called) for n, c in a._axes.beside.items()}
        layouts.append(axes(labels, coords, beside=beside))  # pyright: ignore[reportArgumentType]
    letters = {label: _LETTERS[i] for i, label in enumerate(sizes)}
    inputs = ",".join("".join(letters[n] for n in labels) for labels in given.labels)
    spec = f"{inputs}->{''.join(letters[n] for n in output)}"
    out = apply(jnp.einsum, spec, *[a.array for a in given.arrays], **kwargs)
    return bare(out, met(op, output, *layouts))


_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def dot(*operands: N | Any, **kwargs: Any) -> N:
    """`dot(a, b, "y")`: the sum over a name, or several, of the product of two or more arrays.

    Every contracted name is on at least two operands; names that operands share and that are not
    contracted stay. Keywords (`precision`, `preferred_element_type`) are `jnp.einsum`'s.

    **Raises** `AxisError` for a name that is absent, repeated, or on one operand only;
    `AxisSizeError` where sizes differ; `PositionalError` for a plain array.

    ```python
    >>> from sciquax.named import NamedArray, dot
    >>> import jax.numpy as jnp
    >>> a = NamedArray(jnp.ones((2, 3)), ("x", "y"))
    >>> b = NamedArray(jnp.ones((3, 4)), ("y", "z"))
    >>> dot(a, b, "y").sizes
    {'x': 2, 'z': 4}

    ```
    """
    if "names" in kwargs:
        names = kwargs.pop("names")
    else:
        *operands, names = operands  # pyright: ignore[reportAssignmentType]
    if isinstance(names, NamedBase) or not operands:
        raise AxisError("`dot` needs the names to sum over.", "Write `dot(a, b, 'y')`.").at(
            user_line()
        )
    arrays = _operands("dot", operands)
    contracted: list[str] = []
    for axis in as_names(names):
        name = name_of(axis)
        if name in contracted:
            raise repeated("dot", name).at(user_line())
        owners = [a for a in arrays if name in a._axes.place]
        every = tuple(dict.fromkeys(n for a in arrays for n in a.dims))
        if not owners:
            raise absent("dot", name, every).at(user_line())
        if len(owners) == 1:
            raise AxisError(
                f"`dot` got the name {name!r}, which only one operand has: "
                f"{' and '.join(show_dims(a.dims) for a in arrays)}.",
                f"Sum that operand alone, `.sum({name!r})`, or rename an axis of another.",
            ).at(user_line())
        for a in owners:
            a._axes.position("dot", axis, a)
        contracted.append(name)
    output = tuple(dict.fromkeys(str(n) for a in arrays for n in a.dims if n not in contracted))
    labels = [tuple(map(str, a.dims)) for a in arrays]
    return _contract("dot", Labelled(arrays, labels), output, **kwargs)


def einsum(spec: str, *operands: N | Any, **kwargs: Any) -> N:
    """Sums of products, the axes by name: `einsum("x y, y z -> x z", a, b)`.

    Tokens are names, and the order in which axes are stored is free. Every name of an operand is
    given, unless it has `...`, which stands for the others and must then be in the output. Names
    that the output lacks are summed over. `-> x z` alone gives the output only. `name:alias` calls
    an axis `alias`, so that it may appear twice: `"time space, time space:space2 -> space space2"`.
    The path of contraction is found by `opt_einsum`.

    **Raises** `AxisError` for an unknown, repeated or unmentioned name; `AxisSizeError` where sizes
    differ; `PositionalError` for a plain array.

    ```python
    >>> from sciquax.named import NamedArray, einsum
    >>> import jax.numpy as jnp
    >>> a = NamedArray(jnp.arange(6.0).reshape(2, 3), ("time", "space"))
    >>> einsum("time space, time space:other -> space other", a, a).sizes
    {'space': 3, 'other': 3}

    ```
    """
    arrays = _operands("einsum", operands)
    wanted("einsum", spec, str, "a text")
    left, arrow, right = spec.partition("->")
    if not arrow:
        raise AxisError(f"`einsum` got {spec!r}, without an output.", "Write `-> names`.").at(
            user_line()
        )
    if not arrays:
        raise AxisError("`einsum` needs arrays.").at(user_line())
    if not left.strip():
        if len(arrays) > 1 and "," in left:
            raise AxisError(f"`einsum` got {spec!r}, whose operands have no names.").at(user_line())
        inputs = [[str(n) for n in a.dims] for a in arrays]
    else:
        inputs = [part.split() for part in left.split(",")]
    if len(inputs) != len(arrays):
        raise AxisError(
            f"`einsum` got {len(arrays)} arrays for the {len(inputs)} operands of {spec!r}."
        ).at(user_line())
    labels, free = [], []
    for number, (tokens, a) in enumerate(zip(inputs, arrays, strict=True)):
        own, rest = _labels(number, tokens, a)
        labels.append(own)
        free.append(rest)
    output = _output(spec, right.split(), labels, free)
    return _contract("einsum", Labelled(arrays, labels), output, **kwargs)


def _labels(number: int, tokens: list[str], a: NamedBase) -> tuple[tuple[str, ...], list[str]]:
    """A label for each axis of an operand in storage order, and those that `...` stands for."""
    aliases: dict[str, str] = {}
    ellipsis = False
    for token in tokens:
        if token == "...":
            if ellipsis:
                raise AxisError(f"`einsum` got `...` twice for operand {number}.").at(user_line())
            ellipsis = True
            continue
        name, colon, alias = token.partition(":")
        if colon and not alias or not name:
            raise AxisError(f"`einsum` cannot read {token!r}; write `name:alias`.").at(user_line())
        if name not in a._axes.place:
            raise AxisError(
                f"`einsum` got the name {name!r} for operand {number}, whose dims are "
                f"{show_dims(a.dims)}.",
                suggestion(name, a.dims),
            ).at(user_line())
        if name in aliases:
            raise repeated("einsum", name).at(user_line())
        aliases[name] = alias or name
    missing = [str(n) for n in a.dims if n not in aliases]
    if missing and not ellipsis:
        raise AxisError(
            f"`einsum` got {' '.join(tokens)!r} for operand {number}, whose dims are "
            f"{show_dims(a.dims)}: {show_dims(missing)} not mentioned.",
            "Name every axis, or write `...` for the others.",
        ).at(user_line())
    return tuple(aliases.get(str(n), str(n)) for n in a.dims), missing


def _output(
    spec: str, tokens: list[str], labels: list[tuple[str, ...]], free: list[list[str]]
) -> tuple[str, ...]:
    known = dict.fromkeys(n for own in labels for n in own)
    rest = dict.fromkeys(n for own in free for n in own)
    any_ellipsis = any("..." in part.split() for part in spec.partition("->")[0].split(","))
    if tokens.count("...") > 1:
        raise AxisError("`einsum` got `...` twice in its output.").at(user_line())
    if any_ellipsis and "..." not in tokens:
        raise AxisError(
            f"`einsum` got `...` in an operand of {spec!r} and not in the output.",
            "Names that `...` stands for are kept: write it in the output, or name those to "
            "sum over.",
        ).at(user_line())
    if "..." in tokens and not any_ellipsis:
        raise AxisError(f"`einsum` got `...` in the output of {spec!r} alone.").at(user_line())
    named = [t for t in tokens if t != "..."]
    for token in named:
        if token not in known:
            raise AxisError(
                f"`einsum` got {token!r} in its output, which no operand has.",
                suggestion(token, known),
            ).at(user_line())
        if named.count(token) > 1:
            raise repeated("einsum", token).at(user_line())
    output: list[str] = []
    for token in tokens:
        output += [n for n in rest if n not in named] if token == "..." else [token]
    return tuple(output)
