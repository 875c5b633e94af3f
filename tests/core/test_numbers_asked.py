"""What JAX runs un-jitted runs un-jitted under `quaxify`: it may ask for numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import sciquax
from sciquax import quaxify, show
from sciquax.core import RuleError
from sciquax.named import NamedArray
from sciquax.structured import TridiagonalMatrix
from sciquax.units import DimensionalityError, Quantity
from tests.helpers import Plain

X = jnp.array([3.0, 1.0, 2.0, 1.0], np.float32)
ROWS = jnp.array([0, 0, 1, 3])


# -- Python's control flow ------------------------------------------------------------------------


def branches(x):
    if (x > x.mean()).any():
        return x * 2
    return x


def of_a_zero(x):
    return x * 2 if x.max() > 0 else x


def newton(x):
    y = x
    for _ in range(30):
        new = 0.5 * (y + x * x / y)
        if jnp.all(jnp.abs(new - y) <= 1e-6 * x):
            return new
        y = new * 1.5
    return y


def picks(x):
    return x[int(jnp.argmin(x))] * float(jnp.argmax(x) + 1) * (x > x.mean()).sum().item()


def as_numpy(x):
    return x * np.asarray(x > x.mean()).astype(np.float32), (x > x.mean()).tolist()


def of_elements(x):
    return jnp.stack([xi for xi in x if xi > x.mean()]), max(x[0], x[1]), jnp.stack(sorted(x))


def fills(x):
    z = jnp.zeros(4)
    for i in range(4):
        if x[i] > x.mean():
            z = z.at[i].set(x[i])
    return z


def within_calls(x):
    @jax.jit
    def kept(x):
        return jnp.where(x > x.mean(), x, 0.0)

    @jax.custom_jvp
    def square(x):
        return x**2

    square.defjvp(lambda p, t: (square(p[0]), 2 * p[0] * t[0]))
    y = lax.fori_loop(0, jnp.argmin(x), lambda i, c: c * 2, kept(x))
    return square(y)[y > 0], lax.scan(lambda c, t: (c + t, c), x[0] * 0, y[y > 0])[1]


def of_a_ratio(x):
    return x * float(x[0] / x[1]), f"{x[0] / x[1]:.2f}", int(round(float(x[2] / x[1])))


CONTROL = [
    branches, of_a_zero, newton, picks, as_numpy, of_elements, fills, within_calls, of_a_ratio,
]  # fmt: skip


# -- results whose shapes depend on numbers -------------------------------------------------------

SHAPES = {
    "mask": lambda x: x[x > x.mean()],
    "mask-sum": lambda x: (x[x > x.mean()] * 2).sum() + x[~(x > x.mean())].max(),
    "set": lambda x: x.at[x > x.mean()].multiply(2)[: int(jnp.argmin(x)) + 1],
    "slice": lambda x: x[: jnp.argmin(x) + 1],
    "unique": lambda x: jnp.unique(x) * 2,
    "unique-inverse": lambda x: jnp.unique(x, return_inverse=True, return_counts=True),
    "unique_counts": lambda x: tuple(jnp.unique_counts(2 * x)),
    "union1d": lambda x: jnp.union1d(x, x[:2] * 2) + x[0],
    "intersect1d": lambda x: jnp.intersect1d(x, x[:2], return_indices=True),
    "setdiff1d": lambda x: jnp.setdiff1d(x, x[:1]),
    "setxor1d": lambda x: jnp.setxor1d(x, x[:2] * 2),
    "nonzero": lambda x: x[jnp.nonzero(x > x.mean())],
    "flatnonzero": lambda x: x[jnp.flatnonzero(x - x.min())],
    "argwhere": lambda x: jnp.argwhere(x > x.mean()),
    "where": lambda x: jnp.where(x > x.mean()),
    "extract": lambda x: jnp.extract(x > x.mean(), x),
    "compress": lambda x: jnp.compress(x > x.mean(), x),
    "trim_zeros": lambda x: jnp.trim_zeros(x - x[0]) * 2,
    "bincount": lambda x: jnp.bincount(ROWS, weights=x),
    "bincount-of-ratio": lambda x: jnp.bincount((x / x.min()).astype(int)),
    "choose": lambda x: jnp.choose((x > x.mean()).astype(int), [x, 2 * x]),
    "arange": lambda x: jnp.arange(jnp.argmin(x) + 3),
    "arange-of-values": lambda x: jnp.arange(x[1], x[0], x[2] / 4),
    "linspace": lambda x: jnp.linspace(x[1], x[0], int((x > x.mean()).sum()) + 2),
    "split": lambda x: jnp.split(x, jnp.flatnonzero(x == x.min())),
    "segment_sum": lambda x: jax.ops.segment_sum(x, ROWS),
    "segment_sum-of-ratio": lambda x: jax.ops.segment_sum(x, (x / x.min()).astype(int)),
    "repeat": lambda x: jnp.repeat(x, (x / x.min()).astype(int)),
    "zeros": lambda x: jnp.zeros(jnp.argmin(x) + 1) + x[0],
}


def same(actual, expected):
    """Leaf by leaf, arrays by what they hold."""
    leaves, treedef = jax.tree.flatten(expected)
    found, tree = jax.tree.flatten(actual, is_leaf=lambda x: isinstance(x, Quantity))
    assert tree == treedef
    for a, e in zip(found, leaves, strict=True):
        a = a.to_base_units().m if isinstance(a, Quantity) else a
        if isinstance(e, str | int | float):
            assert a == e
        else:
            np.testing.assert_allclose(a, e, rtol=1e-5)
            assert jnp.asarray(a).dtype == jnp.asarray(e).dtype


@pytest.mark.parametrize(
    "f", [*CONTROL, *SHAPES.values()], ids=[*(f.__name__ for f in CONTROL), *SHAPES]
)
@pytest.mark.parametrize("kind", ["Quantity", "captured", "Plain"])
def test_as_jax_runs_it(f, kind):
    expected = f(X)
    if kind == "Quantity":  # of another unit than its magnitudes are compared in
        same(quaxify(f)(Quantity(X * 100, "cm")), expected)
    elif kind == "captured":
        x = Quantity(X, "m")
        same(quaxify(lambda n: f(n * x))(jnp.float32(1.0)), expected)
    else:
        same(quaxify(f)(Plain(X)), expected)


def test_as_jax_runs_it_again_with_other_numbers():
    """Nothing that was decided is kept for the next call."""
    f = quaxify(lambda x: x[x > x.mean()] if x[0] > x[1] else x.sum())
    for _ in range(3):
        same(f(Quantity(X, "m")), X[X > X.mean()])
        same(f(Quantity(X[::-1], "m")), X.sum())
        same(f(Quantity(X[:, None][:, 0] + X, "m")), 2 * X[X > X.mean()])


def decides(x):
    """A scalar, by a branch and a mask."""
    y = x[x > x.mean()]
    return (y**2).sum() if y[0] > x[1] else x.sum() ** 2


@pytest.mark.parametrize("transform", [jax.grad, jax.jacfwd, jax.value_and_grad, jax.hessian])
def test_differentiated(transform):
    expected = transform(decides)(X)
    same(quaxify(transform(decides))(Quantity(X, "m")), expected)
    same(getattr(sciquax, transform.__name__)(decides)(Quantity(X, "m")), expected)


def test_names():
    x = NamedArray(Quantity(X, "m"), ("t",))
    doubled = quaxify(lambda x: x * 2 if x.max() > x.min() else x)(x)
    assert doubled.dims == ("t",) and doubled.array.units == x.array.units
    np.testing.assert_allclose(doubled.array.m, 2 * X)
    picked = quaxify(lambda x: x[x > x.mean()])(x)
    np.testing.assert_array_equal(picked.array.m, X[X > X.mean()])
    assert quaxify(lambda x: np.sin(x))(NamedArray(X, ("t",))).dims == ("t",)
    with pytest.raises(jax.errors.TracerArrayConversionError) as refused:  # and not without names
        quaxify(lambda x: np.asarray(x))(NamedArray(X, ("t",)))
    note = "Numbers of NamedArray(f32[t=4]) were needed, which is not a plain array."
    assert refused.value.__notes__[-1] == note


OF_NUMPYS = {
    "sqrt": lambda x, y: np.sqrt(x),
    "add": lambda x, y: np.add(x, y, out=None, where=True),
    "hypot": lambda x, y: np.hypot(x, y) * np.ones(4, np.float32),
    "maximum": lambda x, y: np.maximum(x, np.float32(2) * y, dtype=np.float32),
    "reduce": lambda x, y: np.add.reduce(x),
    "outer": lambda x, y: np.multiply.outer(x, y),
    "less": lambda x, y: np.less(x, y),
    "clip": lambda x, y: np.clip(x, y, 2 * y),
    "argsort": lambda x, y: np.argsort(x),
}


@pytest.mark.parametrize("name", OF_NUMPYS)
def test_functions_of_numpys(name):
    f, y = OF_NUMPYS[name], X[::-1] / 2
    for way in (quaxify(f), jax.jit(quaxify(f))):
        out = way(Quantity(X, "m"), Quantity(y / 1000, "km"))
        unit = {"sqrt": "m**0.5", "outer": "m**2"}.get(name, "m")
        out = out.m_as(unit) if isinstance(out, Quantity) else out
        np.testing.assert_allclose(out, f(X, y), rtol=1e-5)


def test_functions_of_numpys_on_numbers_are_its_own():
    def program(q, x):
        c = np.sqrt(x)
        c[0] += 1
        c += np.add(x, x)
        return q * c

    c = np.sqrt(X) + 2 * np.asarray(X)
    c[0] += 1
    np.testing.assert_allclose(quaxify(program)(Quantity(X, "m"), X).m, X * c, rtol=1e-6)


def test_matrices():
    """A residual decides whether to refine, as solvers do."""
    matrix = TridiagonalMatrix(jnp.array([1.0, 2.0]), jnp.array([4.0, 5.0, 6.0]), jnp.ones(2))

    def solve(matrix, b):
        x = jnp.linalg.solve(matrix, b)
        small = jnp.linalg.norm(matrix @ x - b) < 1e-3 * jnp.linalg.norm(b)
        return x if small else jnp.full_like(x, jnp.nan)

    b = jnp.array([1.0, 2.0, 4.0])
    expected = jnp.linalg.solve(matrix.materialise(), b)
    np.testing.assert_allclose(quaxify(solve)(matrix, Quantity(b, "m")).m, expected, rtol=1e-5)


def test_what_says_that_it_may_be_materialised():
    bands = jnp.array([1.0, 2.0]), jnp.array([4.0, 5.0, 6.0]), jnp.ones(2)
    matrix = TridiagonalMatrix(*bands, allow_materialise=True)
    dense = matrix.materialise()
    np.testing.assert_array_equal(quaxify(jnp.unique)(matrix), jnp.unique(dense))
    np.testing.assert_array_equal(quaxify(lambda x: x[x > 1])(matrix), dense[dense > 1])


# -- what is refused, and how it is said ----------------------------------------------------------


@pytest.mark.parametrize("ask", [float, int, np.asarray, lambda x: [x][x]])
def test_a_unit_is_no_number(ask):
    with pytest.raises((DimensionalityError, TypeError)) as info:
        quaxify(lambda x: x * ask(x[0]))(Quantity(X, "m"))
    if ask is float:
        what, _, remedy = str(info.value).splitlines()
        assert what == "`float` takes numbers, and got Quantity(f32[], 'm') in 'm'."
        assert remedy == "Use `.m_as(unit)` for the magnitude in a unit of your choice."


@pytest.mark.parametrize(
    "ask", [lambda x: x[x > 0], lambda x: x if x.max() > 0 else -x, jnp.unique]
)
@pytest.mark.parametrize("around", [jax.jit, jax.vmap])
def test_within_jit_and_vmap_nobody_knows(ask, around):
    kinds = (jax.errors.ConcretizationTypeError, jax.errors.NonConcreteBooleanIndexError)
    with pytest.raises(kinds):
        around(quaxify(ask))(Quantity(jnp.stack([X, X]), "m"))


@pytest.mark.parametrize("kind", ["generator", "coroutine", "map"])
def test_what_would_run_later_is_refused(kind):
    def generator(x):
        yield x * 2

    async def coroutine(x):
        return x * 2

    makes = {"generator": generator, "coroutine": coroutine, "map": lambda x: map(jnp.sin, [x])}
    with pytest.raises(RuleError) as info:
        quaxify(makes[kind])(Quantity(1.0, "m"))
    what, _, remedy = str(info.value).splitlines()
    assert what == f"A quaxified function returned a `{kind}`, which would run after it."
    assert remedy == "Return a list of the results, or quaxify what is called at each step."


# -- how it is done -------------------------------------------------------------------------------


def test_a_refusal_reaches_the_try_around_the_question():
    def guarded(x):
        try:
            return x * float((x + 1.0).sum())
        except DimensionalityError:
            return x * 2

    same(quaxify(guarded)(Quantity(X, "m")), X * 2)


def test_a_refusal_that_was_not_caught_is_raised_by_who_reads_it():
    def careless(x):
        y = x + 1.0
        try:
            float(y[0] / y[1])
        except DimensionalityError:
            pass
        return y

    with pytest.raises(DimensionalityError):
        quaxify(careless)(Quantity(X, "m"))


def test_what_is_not_used_may_fail():
    """As in a program that asks nothing: a library's fraction of time done, say."""

    def program(x):
        _ = jnp.where(x == 0, 1.0, x)  # a call that is refused, and whose result nobody reads
        return x if x[0] > x[1] else -x

    same(quaxify(program)(Quantity(X, "m")), X)


def test_effects_happen_once():
    seen = []

    def program(x):
        jax.debug.callback(lambda y: seen.append(float(y)), x.max() / x.min())
        return x * 2 if x[0] > x[1] else x

    same(quaxify(program)(Quantity(X, "m")), 2 * X)
    jax.effects_barrier()
    assert seen == [3.0]


def test_print_shows_what_it_is(capsys):
    def program(x):
        print(x, x > x.mean())
        return x

    quaxify(program)(Quantity(X, "m"))
    assert capsys.readouterr().out == "[3. 1. 2. 1.] meter [ True False  True False]\n"
    jax.jit(quaxify(program))(Quantity(X, "m"))
    assert "Tracer(bool[4])" in capsys.readouterr().out


def test_show_goes_on_where_it_was(capsys):
    def program(x):
        y = x * 2
        if y.max() > x.max():
            return y - x
        return y

    show(program)(Quantity(X, "m"))
    lines = [line.split("test_numbers")[0].split() for line in capsys.readouterr().out.splitlines()]
    assert [line[2] for line in lines[1:-1]] == ["mul", "reduce_max[axes=(0,)]"] + [
        "reduce_max[axes=(0,)]", "gt", "sub",
    ]  # fmt: skip


def test_a_long_loop_does_not_keep_what_it_dropped():
    """Un-jitted, an array is freed when the function has no more use of it."""
    alive = []

    def program(x):
        for _ in range(10):
            x = x * 2 / (x[0] / x[1])
            if x[0] > x[1]:
                return x
            alive.append(sum(y.shape == (1237,) for y in jax.live_arrays()))
        return x

    quaxify(program)(Quantity(jnp.ones(1237), "m"))
    assert len(alive) == 10 and alive[-1] == alive[4]


class Grid(np.lib.mixins.NDArrayOperatorsMixin):
    """A stranger's array, for which NumPy's functions are JAX's."""

    def __init__(self, data):
        self.data = data

    def __array_ufunc__(self, ufunc, method, *inputs):
        arrays = [x.data if isinstance(x, Grid) else x for x in inputs]
        return Grid(getattr(jnp, ufunc.__name__)(*arrays))


@pytest.mark.parametrize("wrap", [quaxify, lambda f: jax.jit(quaxify(f))])
def test_a_variable_leaves_numpys_functions_to_a_class_that_takes_them(wrap):
    function = lambda x, dt: (dt * Grid(x) + Grid(x)).data  # noqa: E731
    out = wrap(function)(Quantity(jnp.arange(3.0), "m"), jnp.float32(0.5))
    np.testing.assert_allclose(out.m_as("m"), [0.0, 1.5, 3.0])
