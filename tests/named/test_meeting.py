"""Where arrays meet their coordinates are compared, and labels never outlive what they label."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest
import xarray as xr

import sciquax
from sciquax import named, quaxify
from sciquax.named import AxisError, CoordinateError, NamedArray
from sciquax.units import Quantity
from tests.helpers import assert_raises

S = NamedArray(jnp.array([3.0, 1.0, 2.0]), "t", {"t": [10.0, 20.0, 30.0]})
M = NamedArray(
    jnp.arange(12.0).reshape(3, 4), ("t", "x"), {"t": [10.0, 20.0, 30.0], "x": [1.0, 2.0, 3.0, 4.0]}
)
ORDER = NamedArray(jnp.array([2, 0, 1]), "t")
NEIGHBOURS = NamedArray(jnp.array([[1, 2], [0, 2], [1, 0]]), ("t", "k"))
KEY = jax.random.key(0)


def q(f, *args):
    return lambda: quaxify(f)(*args)


PICKED = {
    "argsort": (q(lambda v: v[jnp.argsort(v)], S), {}),
    "take_along_axis": (q(lambda v: jnp.take_along_axis(v, jnp.argsort(v), 0), S), {}),
    "along x": (
        q(lambda v: jnp.take_along_axis(v, jnp.argsort(-v, axis=1), 1), M),
        {"t": [10, 20, 30]},
    ),
    "lexsort": (q(lambda v: v[jnp.lexsort((v,))], S), {}),
    "top_k": (q(lambda v: jax.lax.top_k(v, 3)[0], S), {}),
    "places of top_k": (q(lambda v: v[jax.lax.top_k(v, 3)[1]], S), {}),
    "take": (q(jnp.take, S, ORDER), {}),
    "plain places": (q(lambda v, i: v[i], S, jnp.array([2, 0, 1])), {}),
    "rows": (q(lambda v, i: v[i], M, ORDER), {"x": [1, 2, 3, 4]}),
    "labelled rows": (
        q(lambda v, i: v[i], M, ORDER.assign_coords(t=[5.0, 6.0, 7.0])),
        {"t": [5, 6, 7], "x": [1, 2, 3, 4]},
    ),
    "neighbours": (q(lambda v, i: v[i].sum(-1), S, NEIGHBOURS), {}),
    "labelled neighbours": (
        q(lambda v, i: v[i].sum(-1), S, NEIGHBOURS.assign_coords(t=[5.0, 6.0, 7.0])),
        {"t": [5, 6, 7]},
    ),
    "permutation": (q(lambda v: jax.random.permutation(KEY, v), S), {}),
    "flip": (q(lambda v: v[::-1], S), {}),
    "roll": (q(lambda v: jnp.roll(v, 1), S), {}),
    "sort": (q(jnp.sort, S), {}),
    "written by an index": (
        q(lambda v, z: z.at[jnp.array([2, 0, 1])].set(v), S, S.drop_coords()),
        {},
    ),
    "scattered": (
        q(lambda v: jax.ops.segment_sum(v, jnp.array([2, 1, 0]), num_segments=3), S),
        {},
    ),
    "maximum": (q(lambda v: v[jnp.arange(3), jnp.argmax(v, 1)], M), {"t": [10, 20, 30]}),
    "isel traced": (lambda: jax.jit(lambda s: s.isel(t=s.argsort("t")))(S), {}),
    "isel known": (lambda: S.isel(t=S.argsort("t")), {"t": [20, 30, 10]}),
}


@pytest.mark.parametrize("case", PICKED)
def test_labels_of_picked_elements_are_the_indices_or_none(case):
    program, expected = PICKED[case]
    out = program()
    assert set(out.coords) == set(expected)
    for name, labels in expected.items():
        np.testing.assert_array_equal(out.coord(name), labels)


A = NamedArray(jnp.eye(3) + 1, ("i", "j"), {"i": [1.0, 2.0, 3.0]})
B = NamedArray(jnp.ones(3), "i", {"i": [1.0, 2.0, 4.0]})
OTHER = B.assign_coords(i=[1.0, 2.0, 5.0])
STEPS = NamedArray(jnp.ones(2), "n")

DIFFERENT = {
    "linalg.solve": lambda: named.linalg.solve(A, B, "i", "j"),
    "solve": q(jnp.linalg.solve, A, B),
    "solve of columns": q(lambda a, b: jnp.linalg.solve(a, b[:, None]), A, B),
    "at places": lambda: S.at[{"t": [0, 2]}].set(NamedArray(jnp.ones(2), "t", {"t": [10.0, 20.0]})),
    "at a slice": lambda: S.at[{"t": slice(0, 2)}].set(S.isel(t=[0, 2])),
    "a mask": lambda: B[OTHER > 0],
    "isel of a mask": lambda: B.isel(i=OTHER > 0),
    "at a mask": lambda: B.at[OTHER > 0].set(0.0),
    "scan": lambda: named.scan(lambda c, x: (OTHER, x), B, STEPS, "n"),
    "fold": lambda: named.fold(lambda c, x: OTHER, B, STEPS, "n"),
    "lax.scan": q(
        lambda c, xs: jax.lax.scan(lambda c, x: (c + x, c), c, xs), B, OTHER.expand_dims("n", 2)
    ),
    "uniform": lambda: named.random.uniform(KEY, {"i": 3}, B * 0, OTHER),
    "normal": lambda: named.random.normal(KEY, {"i": 3}, B, OTHER),
    "broadcast_like": lambda: B.broadcast_like(OTHER),
    "dot": q(jnp.dot, B, OTHER),
    "weighted_mean": lambda: B.weighted_mean(OTHER, "i"),
    "weighted": lambda: B.weighted(OTHER).mean("i"),
    "where of a reduction": lambda: B.sum("i", where=OTHER > 0),
    "where": lambda: B.where(OTHER > 0),
    "fillna": lambda: B.fillna(OTHER),
    "clip": lambda: B.clip(OTHER),
    "concatenate": lambda: named.concatenate([M, M.assign_coords(x=[1.0, 2.0, 3.0, 5.0])], "t"),
    "named_vmap": lambda: named.named_vmap(lambda x, y: x + y, "i")(B, OTHER),
    "with a unit and without": lambda: B + B.assign_coords(i=Quantity([1.0, 2.0, 4.0], "s")),
    "corr": lambda: named.corr(B, OTHER, "i"),
    "tangent": lambda: sciquax.jvp(lambda x: x * 2, (B,), (OTHER,)),
    "written by position": q(
        lambda a, v: a.at[:2].set(v), S, S.isel(t=slice(0, 2)).assign_coords(t=[1.0, 2.0])
    ),
    "branches": lambda: jax.jit(
        lambda p: quaxify(lambda p: jax.lax.cond(p, lambda: B, lambda: OTHER))(p)
    )(True),
    "while_loop": q(
        lambda a, b: jax.lax.while_loop(lambda c: c.sum() < 9, lambda c: b * 2, a), B, OTHER
    ),
    "quaxified": q(jnp.hypot, B, OTHER),
}  # fmt: skip


@pytest.mark.parametrize("case", DIFFERENT)
def test_different_coordinates_do_not_meet(case):
    with pytest.raises(CoordinateError):
        DIFFERENT[case]()


def test_equal_coordinates_meet():
    np.testing.assert_array_equal(
        S.at[{"t": [0, 2]}].set(NamedArray(jnp.ones(2), "t", {"t": [10.0, 30.0]})).array, [1, 1, 1]
    )
    same_labels = B.assign_coords(i=[1.0, 2.0, 3.0])
    out = named.linalg.solve(A, same_labels, "i", "j")
    assert out.dims == ("j",) and quaxify(jnp.linalg.solve)(A, same_labels).dims == ("j",)
    late = np.arange(3) + 1.7e9
    a = B.assign_coords(i=late)
    b = B.assign_coords(i=jtu.tree_unflatten(jtu.tree_structure(Quantity(0.0, "s")), [late]))
    ms = b.assign_coords(i=b.coord("i").to("ms"))
    assert (b + ms).coord("i").units == "second"
    with pytest.raises(CoordinateError, match="1700000000.0 and 1700000060.0 at place 0"):
        a + a.assign_coords(i=late + 60)
    with pytest.raises(CoordinateError, match="1700000000.0 second and 1700000000060.0 milli"):
        b + ms.assign_coords(i=ms.coord("i") + 60)
    part = quaxify(lambda a, v: a.at[:2].set(v))(S, S.isel(t=slice(0, 2)) * 10)
    np.testing.assert_array_equal(part.array, [30, 10, 2])
    part = quaxify(lambda a, v: a.at[jnp.array([0, 2])].set(v))(S, S.isel(t=[0, 2]) * 10)
    np.testing.assert_array_equal(part.array, [30, 1, 20])


# -- integers, nans, Celsius ----------------------------------------------------------------------

U = np.array([250, 5, 255, 1], np.uint8)
BYTES = NamedArray(jnp.asarray(U), "x", {"x": [0.0, 1.0, 2.0, 4.0]})
CELSIUS = NamedArray(Quantity(jnp.array([1.0, 2.0, 6.0]), "degC"), "t", {"t": [0.0, 1.0, 2.0]})


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (lambda: BYTES.differentiate("x"), np.gradient(U.astype(float), [0, 1, 2, 4])),
        (lambda: BYTES.integrate("x"), np.trapezoid(U.astype(float), [0, 1, 2, 4])),
        (lambda: BYTES.weighted_mean(BYTES, "x"), np.average(U.astype(float), weights=U)),
        (lambda: BYTES.interp(x=0.5), 127.5),
        (lambda: BYTES.rolling(x=2).sum(), [np.nan, 255, 260, 256]),
        (lambda: BYTES.rolling(x=2).mean(), [np.nan, 127.5, 130, 128]),
        (lambda: named.linalg.norm(NamedArray(jnp.array([60000, 80000]), "x"), "x"), 1e5),
        (lambda: CELSIUS.rolling(t=2).mean(), [np.nan, 1.5, 4]),
        (lambda: CELSIUS.rolling(t=2).max(), [np.nan, 2, 6]),
        (lambda: CELSIUS.rolling(t=2).std(), [np.nan, 0.5, 2]),
        (lambda: CELSIUS.interp(t=0.5), 1.5),
        (lambda: jax.jit(lambda t: CELSIUS.interp(t=t))(0.5), 1.5),
        (lambda: CELSIUS.weighted_mean(NamedArray(jnp.array([1.0, 1.0, 2.0]), "t"), "t"), 3.75),
        (lambda: CELSIUS.where(CELSIUS.coord("t") > 0), [np.nan, 2, 6]),
        (lambda: CELSIUS.pad(t=1), [0, 1, 2, 6, 0]),
        (lambda: CELSIUS.pad(t=1, mode="edge"), [1, 1, 2, 6, 6]),
        (lambda: CELSIUS.differentiate("t"), [1, 2.5, 4]),
        (lambda: CELSIUS.shift(t=1), [np.nan, 1, 2]),
        (lambda: S.roll(t=NamedArray(jnp.asarray(1), ())), [2, 3, 1]),
        (lambda: S.pad(t=(NamedArray(jnp.asarray(1), ()), 0)), [0, 3, 1, 2]),
        (lambda: named.linspace("x", NamedArray(jnp.asarray(1.0), ()), 2.0, 3), [1, 1.5, 2]),
        (lambda: S.at[S > 1.5].apply(lambda x: x * 10), [30, 1, 20]),
        (
            lambda: NamedArray(jnp.arange(200.0), "x").isel(x=np.array([1, -1], np.int8)),
            [1, 199],
        ),
        (
            lambda: jax.jit(lambda i: NamedArray(jnp.arange(200.0), "x").isel(x=i))(
                jnp.array([1, -1], jnp.int8)
            ),
            [1, 199],
        ),
        (
            lambda: named.random.normal(KEY, {"x": 3}, 1.0, 2.0),
            1 + 2 * np.asarray(jax.random.normal(KEY, (3,))),
        ),
    ],
)
def test_numbers(program, expected):
    out = program()
    held = getattr(out.array, "magnitude", out.array)
    np.testing.assert_allclose(held, expected, rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_beside_what_is_not_finite(bad):
    a = NamedArray(jnp.array([1.0, bad, 3.0, 4.0]), "x", {"x": [0.0, 1.0, 2.0, 3.0]})
    at = np.array([0.0, 2.0, 2.5])
    for interp in (lambda x, how: a.interp(x=x, method=how), jax.jit(
        lambda x, how: a.interp(x=x, method=how), static_argnums=1
    )):  # fmt: skip
        np.testing.assert_allclose(interp(jnp.asarray(at), "linear").array, [1, 3, 3.5])
        np.testing.assert_allclose(interp(jnp.array([0.4, 1.6]), "nearest").array, [1, 3])
    assert a.interp(x=0.0).array == 1
    zeros = named.zeros_like(NamedArray(Quantity(jnp.array([1.0, bad]), "m"), "x"))
    np.testing.assert_array_equal(zeros.array.magnitude, [0, 0])
    np.testing.assert_array_equal(quaxify(jnp.zeros_like)(a).array, np.zeros(4))


def test_names_that_stay_and_go():
    for f in (jnp.zeros_like, jnp.ones_like, lambda x: jnp.full_like(x, 2.0)):
        out = quaxify(f)(M)
        assert out.dims == ("t", "x") and set(out.coords) == {"t", "x"}
    for f in (jnp.median, jnp.nanmedian):
        assert quaxify(lambda x, f=f: f(x, axis=0, keepdims=True))(M).dims == (None, "x")
    assert quaxify(lambda x: jnp.quantile(x, 0.5, axis=1, keepdims=True))(M).dims == ("t", None)
    several = quaxify(lambda x: jnp.percentile(x, jnp.array([5.0, 95.0]), axis=0, keepdims=True))
    assert several(M).dims == (None, None, "x")
    centred = quaxify(lambda x: x - jnp.median(x, axis=0, keepdims=True))(M)
    np.testing.assert_array_equal(centred.array, M.array - np.median(M.array, 0, keepdims=True))
    samples = named.arange("time", 16, dtype=float)
    spectrum = quaxify(lambda x: jax.scipy.signal.stft(x, nperseg=4)[2])(samples)
    assert "time" not in spectrum.dims


def test_filter_vmap():
    rows = eqx.filter_vmap(lambda x: NamedArray(jnp.ones(3) * x, "t"))(jnp.arange(2.0))
    assert rows.dims == (None, "t") and rows.shape == (2, 3)
    assert eqx.filter_vmap(lambda x: x * 2)(M.untag("t")).dims == (None, "x")
    both = eqx.filter_vmap(lambda x, k: x * k, in_axes=(None, 0))(S, jnp.arange(2.0))
    assert both.dims == (None, "t")
    np.testing.assert_array_equal(both.coord("t"), [10, 20, 30])
    np.testing.assert_array_equal((both.tag("k") + S).array, [[3, 1, 2], [6, 2, 4]])


def test_an_axis_against_itself():
    def pairs(s, t):
        return s[:, None] - t[None, :]  # HERE

    kernel = quaxify(pairs)
    assert_raises(
        AxisError,
        lambda: kernel(S, S),
        "`sub` would put the name 't' on two axes: ('t', 't').\n{place}\n"
        "Rename one operand's axis first: `.rename(t='t2')`. In code that is not yours, give its "
        "two arguments `*named.distinct(a, 't')`; or give it `a.untag('t')` and name the result "
        "with `.tag('t', 't2')`.",
        at=pairs,
    )
    out = kernel(*named.distinct(S, "t"))
    assert out.dims == ("t", "t2")
    np.testing.assert_array_equal(out.coord("t2"), [10, 20, 30])
    assert [x.dims for x in named.distinct(M, ("t", "x"), 3)] == [
        ("t", "x"), ("t2", "x2"), ("t3", "x3"),
    ]  # fmt: skip
    plain = S.untag("t")
    assert kernel(plain, plain).tag("t", "t2").dims == ("t", "t2")


def test_files():
    anomaly = CELSIUS - CELSIUS.mean("t")
    assert anomaly.to_xarray().attrs["units"] == "kelvin"
    fahrenheit = NamedArray(Quantity(jnp.array([0.0, 18.0]), "delta_degF"), "t").to_xarray()
    np.testing.assert_allclose(fahrenheit.values, [0, 10], rtol=1e-6)
    with pytest.raises(OverflowError, match="integers beyond JAX's int32"):
        named.from_xarray(xr.DataArray(np.array([2**40, 1]), dims="x", name="id"))
