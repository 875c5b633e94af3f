"""Coordinates: checked where arrays meet, kept, selected by, interpolated along; and xarray."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sciquax import named, quaxify
from sciquax.named import AxisError, CoordinateError, NamedArray
from sciquax.units import DimensionalityError, Quantity, UndefinedUnitError
from tests.helpers import assert_raises

T = np.array([0.0, 1.0, 3.0])
X = np.array([10.0, 20.0])
V = np.array([[1.0, 2.0, 6.0], [0.0, -1.0, 4.0]], np.float32)
DAYS = np.array(["2000-01-01", "2000-01-11", "2000-02-01"], "M8[D]")

a = NamedArray(jnp.asarray(V), ("x", "t"), coords={"t": Quantity(T, "s"), "x": X})
dated = NamedArray(jnp.asarray(V), ("x", "t"), coords={"t": DAYS})


def values(a, name):
    found = a.coord(name)
    return np.asarray(getattr(found, "array", found).magnitude if name == "t" and hasattr(
        getattr(found, "array", None), "magnitude") else found)  # fmt: skip


def test_inspection():
    assert set(a.coords) == {"x", "t"} and str(a.coord("t").units) == "second"
    assert a.coord("x").dims == ("x",)
    np.testing.assert_array_equal(dated.coord("t"), DAYS)
    with pytest.raises(AxisError, match="no coordinates"):
        dated.coord("x")
    assert set(a.drop_coords("x").coords) == {"t"} and a.drop_coords().coords == {}
    assert a.assign_coords(x=None).coords.keys() == {"t"}


@pytest.mark.parametrize(
    ("call", "t", "x"),
    [
        (lambda: a + a, T, X),
        (lambda: a * 2.0, T, X),
        (lambda: a + a.drop_coords("t"), T, X),
        (lambda: a.sum("x"), T, None),
        (lambda: a.transpose("t", "x"), T, X),
        (lambda: a.isel(t=slice(1, None)), T[1:], X),
        (lambda: a.isel(t=[2, 0]), T[[2, 0]], X),
        (lambda: a.isel(x=0), T, X[0]),
        (lambda: a.flip("t"), T[::-1], X),
        (lambda: a.diff("t"), T[1:], X),
        (lambda: a.sort("t"), None, X),
        (lambda: a.roll(t=1), T, X),
        (lambda: a.roll(t=1, roll_coords=True), T[[2, 0, 1]], X),
        (lambda: a.cumsum("t"), T, X),
        (lambda: named.concatenate([a, a.isel(t=[1])], "t"), [0, 1, 3, 1], X),
        (lambda: named.stack([a, a], "n"), T, X),
        (lambda: named.where(a > 0, a, 0.0), T, X),
        (lambda: named.einsum("x t, x t:t2 -> t t2", a, a), T, None),
        (lambda: a.rename(x="u").rename(u="x"), T, X),
        (lambda: a.untag("x").tag("p"), T, None),
        (lambda: a.rolling(t=2).mean(), T, X),
        (lambda: a.rolling(t=2, valid=True).mean(), T[1:], X),
        (lambda: a.expand_dims("w", 2), T, X),
        (lambda: named.named_vmap(lambda r: r * 2, over="x")(a), T, X),
        (lambda: named.scan(lambda c, r: (c, r), 0.0, a, "t")[1], T, X),
        (lambda: named.fft.fft(a, "t"), None, X),
        (lambda: jax.jit(lambda b: b - b.mean("t"))(a), T, X),
        (lambda: quaxify(lambda b: b - b.mean(0))(a.drop_coords("x").rename(x="w")), T, None),
        (lambda: quaxify(lambda b: b[:, ::-1])(a), None, X),
        (lambda: quaxify(lambda b: b[:, 1:])(a), None, X),
        (lambda: quaxify(jnp.sort)(a), None, X),
        (lambda: quaxify(lambda b: jnp.concatenate([b, b], 1))(a), None, X),
        (lambda: quaxify(jnp.exp)(a), T, X),
    ],
)
def test_kept(call, t, x):
    with jax.numpy_rank_promotion("allow"):
        out = call()
    for name, expected in (("t", t), ("x", x)):
        assert (name in out.coords) == (expected is not None)
        if expected is not None:
            np.testing.assert_allclose(values(out, name), expected)


def test_mismatch_says_where():
    other = a.assign_coords(t=Quantity([0.0, 1.0, 4.0], "s"))

    def add():
        return a + other  # HERE

    assert_raises(
        CoordinateError,
        add,
        "`add` got two coordinates for 't': 3.0 second and 4.0 second at place 2.\n{place}\n"
        "Select the same places first (`sel`, `isel`, `interp`), or drop one with "
        "`.drop_coords('t')`.",
    )
    for call in (
        lambda: named.where(a > 0, other, 0.0),
        lambda: named.dot(a, other, "x"),
        lambda: named.stack([a, other], "n"),
        lambda: named.concatenate([a, other], "x"),
        lambda: named.concatenate([a, a.drop_coords("t")], "t"),
        lambda: quaxify(jnp.add)(a, other),
        lambda: jax.jit(jnp.add.__call__ if False else lambda p, q: p + q)(a, other),
        lambda: a + dated.isel(x=0),
        lambda: a + a.isel(t=0).expand_dims("t", 3).assign_coords(t=T),
    ):
        with pytest.raises(CoordinateError):
            call()


def test_units_of_coordinates_convert():
    in_ms = a.assign_coords(t=Quantity(T * 1000, "ms"))
    assert str((a + in_ms).coord("t").units) == "second"
    joined = named.concatenate([a, in_ms], "t")
    np.testing.assert_allclose(joined.coord("t").array.magnitude, [*T, *T])


def test_sel():
    np.testing.assert_array_equal(a.sel(t=Quantity(1.0, "s")).array, V[:, 1])
    np.testing.assert_array_equal(a.sel(t=Quantity(3000.0, "ms"), x=20.0).array, V[1, 2])
    np.testing.assert_array_equal(a.sel(x=[20, 10]).array, V[::-1])
    np.testing.assert_array_equal(a.sel(x=slice(15, 20)).array, V[1:])
    np.testing.assert_array_equal(a.sel(t=slice(None, Quantity(1.0, "s"))).array, V[:, :2])
    np.testing.assert_array_equal(a.sel(x=17.0, method="nearest").array, V[1])
    near = a.sel(x=NamedArray(jnp.array([11.0, 19.0, 12.0]), "u"), method="nearest")
    assert near.dims == ("u", "t")
    np.testing.assert_array_equal(near.array, V[[0, 1, 0]])
    np.testing.assert_array_equal(a.flip("x").sel(x=slice(20, 15)).array, V[1:])
    np.testing.assert_array_equal(dated.sel(t="2000-01-11").array, V[:, 1])
    np.testing.assert_array_equal(dated.sel(t=slice("2000-01", "2000-01")).array, V[:, :2])
    for call, error in (
        (lambda: a.sel(x=11.0), CoordinateError),
        (lambda: a.sel(t=Quantity(1.0, "m")), DimensionalityError),
        (lambda: a.sel(x=17.0, method="nearest", tolerance=1.0), CoordinateError),
        (lambda: a.sel(x=10.0, method="bilinear"), AxisError),
        (lambda: a.sel(z=10.0), AxisError),
        (lambda: dated.sel(x=10.0), AxisError),
        (lambda: a.sel(x=slice(20, 10)), CoordinateError),
        (lambda: named.concatenate([a, a], "x").sel(x=[10.0]), CoordinateError),
        (lambda: jax.jit(lambda v: a.sel(x=v))(10.0), CoordinateError),
    ):
        with pytest.raises(error):
            call()


def test_interp():
    out = a.interp(t=Quantity(2.0, "s"))
    np.testing.assert_allclose(out.array, [4.0, 1.5])
    out = a.interp(t=Quantity(jnp.array([500.0, 3000.0, 9000.0]), "ms"))
    assert out.dims == ("x", "t") and str(out.coord("t").units) == "millisecond"
    np.testing.assert_allclose(out.array, [[1.5, 6.0, np.nan], [-0.5, 4.0, np.nan]])
    out = jax.jit(lambda t: a.flip("x").interp(x=t))(jnp.float32(12.5))
    np.testing.assert_allclose(out.array, V[0] * 0.75 + V[1] * 0.25)
    assert a.interp(x=NamedArray(jnp.array([10.0, 20.0]), "u")).dims == ("u", "t")
    np.testing.assert_allclose(a.interp(x=12.0, method="nearest").array, V[0])
    grad = jax.grad(lambda t: a.drop_coords("t").interp(x=t).sum().array)(12.5)
    np.testing.assert_allclose(grad, (V[1] - V[0]).sum() / 10)
    with pytest.raises(DimensionalityError):
        a.interp(t=Quantity(2.0, "m"))
    with pytest.raises(CoordinateError):
        dated.interp(t=2.0)


def test_calculus():
    q = NamedArray(Quantity(V, "m"), ("x", "t"), coords={"t": Quantity(T, "s")})
    slope = q.differentiate("t")
    assert str(slope.units) == "meter / second"
    np.testing.assert_allclose(slope.array.magnitude, np.gradient(V, T, axis=1), rtol=1e-6)
    area = q.integrate("t")
    assert area.array.is_compatible_with("m*s")
    np.testing.assert_allclose(area.array.magnitude, np.trapezoid(V, T, axis=1))
    assert a.idxmax("t").units == a.coord("t").units
    np.testing.assert_allclose(a.idxmax("t").array.magnitude, T[V.argmax(1)])


def test_bad_coordinates():
    for bad in ([1.0], np.ones((2, 2)), NamedArray(jnp.ones(2), "y")):
        with pytest.raises(CoordinateError):
            a.assign_coords(x=bad)
    with pytest.raises(CoordinateError, match="only known when the program runs"):
        jax.jit(lambda x: a.assign_coords(x=x))(jnp.ones(2))
    with pytest.raises(AxisError):
        a.assign_coords(z=[1.0])
    with pytest.raises(AxisError):
        NamedArray(V, ("x", "t"), coords={"z": [1.0]})


# -- xarray ---------------------------------------------------------------------------------------

xr = pytest.importorskip("xarray")


def sample():
    return xr.DataArray(
        V,
        dims=("lat", "time"),
        coords={
            "lat": ("lat", [-10.0, 5.0], {"units": "degrees_north", "long_name": "Latitude"}),
            "time": DAYS.astype("M8[ns]"),
        },
        attrs={"units": "K", "long_name": "temperature"},
        name="t2m",
    )


def test_round_trip_through_xarray():
    b = named.from_xarray(sample())
    assert b.dims == ("lat", "time") and str(b.units) == "kelvin" and b.name == "t2m"
    assert b.attrs == {"long_name": "temperature"} and str(b.coord("lat").units) == "degree"
    back = b.to_xarray()
    assert back.attrs == {"long_name": "temperature", "units": "kelvin"}
    assert back.coords["lat"].attrs == {"units": "degree", "long_name": "Latitude"}
    xr.testing.assert_equal(back, sample())
    again = named.from_xarray(back)
    assert jax.tree.structure(again) == jax.tree.structure(b)
    assert b.isel(time=0).attrs and not (b + b).attrs


def test_units_that_cannot_be_read_are_refused():
    odd = sample().assign_attrs(units="furlongs per blah")
    with pytest.raises(UndefinedUnitError, match="give `units='...'`, or `units=None`"):
        named.from_xarray(odd)
    assert named.from_xarray(odd, units=None).dtype == jnp.float32
    assert str(named.from_xarray(odd, units="m").units) == "meter"
    with pytest.raises(TypeError):
        named.from_xarray(xr.DataArray(["a", "b"], dims="x"))
    unnamed = NamedArray(jnp.ones((2, 3)), (None, "x")).to_xarray()
    assert unnamed.dims == ("dim_0", "x")


@pytest.mark.parametrize(
    "text, factor, units",
    [
        ("1e-3 kg m-2", 1e-3, "kilogram / meter ** 2"),
        ("10^-3", 1e-3, "dimensionless"),
        ("0.01 K", 0.01, "kelvin"),
        ("10-3 m", 1e-3, "meter"),
        ("10**6 m3 s-1", 1e6, "meter ** 3 / second"),
        ("100 m^2", 100.0, "meter ** 2"),
        ("1e-3", 1.0, "permille"),
    ],
)
def test_scale_factors_multiply(text, factor, units):
    data = xr.DataArray([1, 2], dims="x", coords={"x": ("x", [1.0, 3.0], {"units": text})})
    a = named.from_xarray(data.assign_attrs(units=text))
    assert str(a.units) == str(a.coord("x").units) == units
    np.testing.assert_allclose(a.array.m, np.array([1, 2]) * factor, rtol=1e-6)
    np.testing.assert_allclose(a.coord("x").array.m, np.array([1, 3]) * factor, rtol=1e-6)


@pytest.mark.parametrize("text", ["0.1 degC", "2 dBm", "0 m", "-1 m", "1e400 m", "3 m 4 s"])
def test_what_is_no_scale_factor_is_refused(text):
    with pytest.raises(UndefinedUnitError, match="It is in `attrs\\['units'\\]` of variable 't2m'"):
        named.from_xarray(sample().assign_attrs(units=text))


@pytest.mark.filterwarnings("ignore")  # of netCDF4 and zarr, about themselves
def test_files(tmp_path):
    from sciquax.interop.xarray import open_netcdf, open_zarr, save_netcdf, save_zarr

    b = named.from_xarray(sample())
    save_netcdf({"t2m": b, "mean": b.mean("time")}, tmp_path / "a.nc")
    found = open_netcdf(tmp_path / "a.nc")
    assert str(found["t2m"].units) == "kelvin" and found["mean"].dims == ("lat",)
    xr.testing.assert_equal(found["t2m"].to_xarray(), sample())
    save_zarr({"t2m": b}, tmp_path / "a.zarr")
    xr.testing.assert_equal(open_zarr(tmp_path / "a.zarr")["t2m"].to_xarray(), sample())


def test_agrees_with_xarray():
    data = sample()
    b = named.from_xarray(data)
    weights = np.cos(np.deg2rad(data.lat))
    ours = b.weighted_mean(named.cos(b.coord("lat")), "lat")
    np.testing.assert_allclose(ours.array.magnitude, data.weighted(weights).mean("lat"), rtol=1e-6)
    rolled = b.rolling(time=2).mean().to_xarray()
    np.testing.assert_allclose(rolled, data.rolling(time=2).mean())
    np.testing.assert_allclose(
        b.rolling(time=2, center=True).mean().to_xarray(),
        data.rolling(time=2, center=True).mean(),
    )
