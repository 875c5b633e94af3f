"""Coordinates as arrays: in arithmetic, in functions and transformations, and of every kind."""

import copy
import datetime
import pickle

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pandas as pd
import pytest

from sciquax import named, quaxify
from sciquax.named import CoordinateError, NamedArray
from sciquax.units import Quantity

from .test_labels import same

S = NamedArray(jnp.array([3.0, 1.0, 2.0]), "t", {"t": [10.0, 20.0, 30.0]})
Q = NamedArray(jnp.arange(3.0), "t", {"t": Quantity([1.0, 2.0, 4.0], "s")})
SPANS = NamedArray(jnp.arange(4.0), "d", {"d": np.arange(4) * np.timedelta64(6, "h")})
LON = NamedArray(jnp.arange(4.0), "lon", {"lon": Quantity([0.0, 90.0, 180.0, 270.0], "degree")})
MS = np.arange(3) + 1_700_000_000_000
HUGE = np.array([2**60, 2**60 + 1, 2**60 + 2])


def labelled(labels, n=3):
    return NamedArray(jnp.arange(float(n)), "t", {"t": labels})


PROGRAMS = {
    "span": (lambda: SPANS.sel(d=np.timedelta64(12, "h")), 2),
    "span as text": (lambda: SPANS.sel(d="12h"), 2),
    "span of Python": (lambda: SPANS.sel(d=datetime.timedelta(hours=12)), 2),
    "spans": (lambda: SPANS.sel(d=slice("6h", "12h")), [1, 2]),
    "between spans": (lambda: SPANS.interp(d=np.timedelta64(9, "h")), 1.5),
    "rate by spans": (lambda: SPANS.differentiate("d", datetime_unit="h"), [1 / 6] * 4),
    "near a span": (
        lambda: SPANS.sel(d=np.timedelta64(11, "h"), method="nearest", tolerance="2h"),
        2,
    ),
    "spans compared": (lambda: SPANS.coord("d") > "6h", [False, False, True, True]),
    "largest by span": (lambda: SPANS.idxmax("d"), np.timedelta64(18, "h")),
    "a number beside spans": (lambda: SPANS.sel(d=3), CoordinateError),
    "a number between spans": (lambda: SPANS.interp(d=3), CoordinateError),
    "a number among dates": (
        lambda: labelled(pd.date_range("2001", periods=3)).sel(t=[1]),
        CoordinateError,
    ),
    "quantities": (
        lambda: labelled([Quantity(1.0, "s"), Quantity(2000.0, "ms")], 2).coord("t"),
        [1, 2],
    ),
    "index": (lambda: labelled(pd.Index(["a", "b", "c"])).sel(t="b"), 1),
    "categories": (lambda: labelled(pd.Categorical(["a", "b", "c"])).sel(t="b"), 1),
    "Python's dates": (
        lambda: labelled([datetime.datetime(2001, 1, 1), datetime.datetime(2002, 1, 1)], 2).sel(
            t="2002"
        ),
        [1],
    ),
    "integer on floats": (lambda: S.sel(t=20), 1),
    "floats on integers": (lambda: labelled([1, 2, 3]).sel(t=[2.0, 3.0]), [1, 2]),
    "no such float": (lambda: labelled([1, 2, 3]).sel(t=2.5), CoordinateError),
    "JAX's label": (lambda: S.sel(t=jnp.asarray([20.0, 10.0])), [1, 3]),
    "named label": (lambda: S.sel(t=NamedArray(jnp.asarray(20.0), ())), 1),
    "another array's labels": (
        lambda: S.sel(t=labelled([11.0, 28.0], 2).coord("t"), method="nearest"),
        [3, 2],
    ),
    "labels of what was found": (
        lambda: S.sel(t=labelled([11.0, 28.0], 2).coord("t"), method="nearest").coord("t"),
        [10, 30],
    ),
    "no label": (lambda: S.sel(t=slice(11, 12)), np.zeros(0)),
    "nothing near": (lambda: S.sel(t=slice(11, 12)).sel(t=3, method="nearest"), CoordinateError),
    "huge": (lambda: labelled(HUGE).sel(t=2**60 + 1), 1),
    "huge ones": (lambda: labelled(HUGE).sel(t=slice(2**60 + 1, None)), [1, 2]),
    "huge slope": (lambda: (labelled(HUGE) ** 2).differentiate("t"), [1, 2, 3]),
    "huge differ": (lambda: labelled(HUGE) + labelled(HUGE + [0, 0, 1]), CoordinateError),
    "joined kinds": (
        lambda: named.concatenate([S, S.assign_coords(t=["a", "b", "c"])], "t"),
        CoordinateError,
    ),
    "joined dates": (
        lambda: named.concatenate(
            [
                labelled(np.array(["2001-01-01", "2001-01-02"], "M8[D]"), 2),
                labelled(np.array(["2001-02-01", "2001-02-02"], "M8[ns]"), 2),
            ],
            "t",
        ).sel(t="2001-02"),
        [0, 1],
    ),
    "wrapped longitudes": (
        lambda: LON.assign_coords(lon=(LON.coord("lon") + 180) % 360 - 180).sortby("lon"),
        [2, 3, 0, 1],
    ),
    "scaled": (lambda: LON.coord("lon") / 2, [0, 45, 90, 135]),
    "scaled exactly": (lambda: labelled(MS).coord("t") * 1000, MS * 1000),
    "milliseconds to JAX": (
        lambda: jax.jit(lambda c: c)(labelled(MS).coord("t")),
        MS.astype(float),
    ),
    "groups by a mask": (lambda: LON.groupby(LON.coord("lon") > 100).sum(), [1, 5]),
    "masks": (lambda: S[(S.coord("t") > 10) & ~(S.coord("t") >= 30)], [1]),
    "masks in jit": (
        lambda: jax.jit(lambda s: s[named.logical_or(s.coord("t") <= 10, s.coord("t") >= 30)])(S),
        [3, 2],
    ),
    "product": (lambda: S * S.coord("t"), [30, 20, 60]),
    "where": (lambda: named.where(S > 1.5, S.coord("t"), 0.0), [10, 0, 30]),
    "dot": (lambda: named.dot(S, S.coord("t"), "t"), 110),
    "einsum": (lambda: named.einsum("t, t -> ", S, S.coord("t")), 110),
    "stack": (lambda: named.stack([S.coord("t"), S.coord("t")], "n").sum("n"), [20, 40, 60]),
    "named_vmap": (lambda: named.named_vmap(lambda x, c: x * c, "t")(Q, Q.coord("t")), [0, 2, 8]),
    "cmap": (lambda: named.cmap(lambda x, c: x * c)(S, S.coord("t")), [30, 20, 60]),
    "scan": (
        lambda: named.scan(lambda c, x: (c + x, c), Quantity(0.0, "s"), Q.coord("t"), "t")[0],
        7,
    ),
    "quaxify": (lambda: quaxify(jnp.sin)(S.coord("t")), np.sin([10, 20, 30])),
    "at": (lambda: Q.coord("t").at[{"t": 0}].set(Quantity(5.0, "s")), [5, 2, 4]),
    "power": (lambda: Q.coord("t") ** 2, [1, 4, 16]),
    "sum": (lambda: Q.coord("t").sum(), 7),
    "exp": (lambda: named.exp(-Q.coord("t") / Quantity(1.0, "s")), np.exp([-1.0, -2.0, -4.0])),
    "from a quantity": (lambda: Quantity(1.0, "s") - Q.coord("t"), [0, -1, -3]),
    "traced places": (lambda: jax.jit(lambda i: Q.coord("t").isel(t=i))(jnp.array([2, 0])), [4, 1]),
    "converted": (lambda: Q.coord("t").to("ms"), [1000, 2000, 4000]),
}


@pytest.mark.parametrize("case", PROGRAMS)
def test_programs(case):
    program, expected = PROGRAMS[case]
    if isinstance(expected, type):
        with pytest.raises(expected):
            program()
    else:
        same(program(), expected)


@pytest.mark.parametrize(
    "a", [S, Q, SPANS, labelled(["a", "b", "c"]), labelled(pd.date_range("2001", periods=3))]
)
def test_copies(a):
    for made in (pickle.loads(pickle.dumps(a)), copy.deepcopy(a), jtu.tree_map(lambda x: x, a)):
        assert jtu.tree_structure(made) == jtu.tree_structure(a)


def test_a_date_is_no_array_of_jax():
    with pytest.raises(TypeError):
        jax.jit(lambda c: c)(labelled(pd.date_range("2001", periods=3)).coord("t"))


def test_jit_compiles_once_for_each_program():
    rng = np.random.default_rng(0)
    a = NamedArray(jnp.asarray(rng.normal(size=60)), "x", {"x": np.arange(60) * 0.1})
    windows = [a.isel(x=slice(i, i + 20)) for i in range(0, 30, 3)]
    traced, compiled = [], []

    def analysed(w):
        traced.append(w.coords)
        middle = w.interp(x=w.coord("x").array[5:8] + 0.05).mean("x")
        return {"rate": w.differentiate("x") - middle, "first": w.coord("x").isel(x=[0])}

    f = named.jit(analysed)
    listener = lambda name, *_, **__: compiled.append(name) if "backend_compile" in name else None
    jax.monitoring.register_event_duration_secs_listener(listener)
    try:
        f(windows[0])
        first = len(compiled)
        found = [f(w) for w in windows]
        again = [f(w) for w in windows]
    finally:
        jax.monitoring.unregister_event_duration_listener(listener)
    assert len(traced) == len(windows) and len(compiled) == first >= 1
    for w, out, same_out in zip(windows, found, again, strict=True):
        expected = analysed(w)
        for name in expected:
            same(out[name], expected[name].array, 1e-4)
            same(out[name].coord("x"), expected[name].coord("x").array)
            same(same_out[name], out[name].array)
    grad = jax.grad(lambda w: f(w)["rate"].sum().array)(windows[1])
    same(grad, jax.grad(lambda w: analysed(w)["rate"].sum().array)(windows[1]).array, 1e-4)
    scaled = named.jit(lambda w, k: w * k)
    same(scaled(windows[0], 2.0), windows[0].array * 2)
    same(scaled(windows[0], 3.0), windows[0].array * 3)
    by_label = named.jit(lambda w: w * 2.0 if float(w.coord("x").array[0]) > 0 else w * 3.0)
    same(by_label(windows[0]), windows[0].array * 3)
    same(by_label(windows[1]), windows[1].array * 2)


def test_jit_traces_once_where_no_label_is_asked_for():
    traced = []

    @named.jit
    def centred(pair, scale):
        traced.append(pair["a"].dims)
        a, b = pair["a"], pair["b"]
        return {"out": scale * (a - b.mean("t")), "n": (a + b).sum("x")}

    months = ("t", np.arange(40) // 4)
    series = NamedArray(
        jnp.arange(80.0).reshape(40, 2) ** 2, ("t", "x"),
        {"t": np.arange(40) * 0.5, "x": ["p", "q"], "month": months},
    )  # fmt: skip
    for start in range(0, 30, 3):
        window = series.isel(t=slice(start, start + 5))
        out = centred({"a": window, "b": window * 2}, 3.0)
        expected = 3.0 * (window - (window * 2).mean("t"))
        np.testing.assert_allclose(out["out"].array, expected.array, rtol=1e-6)
        for name in ("t", "x", "month"):
            np.testing.assert_array_equal(out["out"].coord(name), window.coord(name))
        assert set(out["n"].coords) == {"t", "month"}
    assert len(traced) == 1
    # Labels that differ are still refused, where they had been told apart by nobody.
    with pytest.raises(CoordinateError, match=r"`sub` got two coordinates|`add` got two"):
        centred({"a": series.isel(t=slice(0, 5)), "b": series.isel(t=slice(1, 6))}, 3.0)
    late = named.jit(lambda a: a.isel(t=slice(1, 3)) * 2)
    for start in (0, 7):
        window = series.isel(t=slice(start, start + 5))
        np.testing.assert_array_equal(late(window).coord("t"), window.coord("t").isel(t=[1, 2]))


def test_jit_returns_single_values_and_traces_once_for_them():
    traced = []

    @named.jit
    def pair(a, b):
        traced.append(a.dims)
        return {"difference": a - b, "last": (a + 1).isel(x=-1), "read": b.sel(x="q")}

    series = NamedArray(
        jnp.arange(12.0).reshape(6, 2), ("t", "x"),
        {"t": np.arange(6) * 0.1, "x": ["p", "q"], "run": 3},
    )  # fmt: skip
    out: dict[str, NamedArray] = {}
    for i in range(5):
        a, b = series.isel(t=i), series.isel(t=i + 1)
        out, expected = pair(a, b), {"difference": a - b, "last": a.isel(x=-1), "read": b.isel(x=1)}
        for name, value in expected.items():
            assert set(out[name].coords) == set(value.coords), name
            for key, coord in value.coords.items():
                np.testing.assert_array_equal(out[name].coord(key).array, coord.array)
    assert "t" not in out["difference"].coords and len(traced) == 2  # once with the labels of x
    last = series.isel(t=4)
    equal = pair(last, last)  # the same value beside both is kept
    assert float(equal["difference"].coord("t").array) == 0.4 and len(traced) == 4
    where = named.jit(lambda a: a * float(a.coord("t").array))  # asks: traced for each
    assert [float(where(series.isel(t=i)).isel(x=1).array) for i in (1, 2)] == pytest.approx(
        [0.3, 1.0]
    )
