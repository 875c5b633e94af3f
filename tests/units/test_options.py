"""What optional arguments change about a function's outputs must not change their units."""

import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import jax.scipy.sparse.linalg as iterative
import jax.scipy.stats as stats
import numpy as np
import pint
import pytest
from jax import lax
from jax.scipy.interpolate import RegularGridInterpolator

import sciquax
from sciquax import quaxify
from sciquax.units import DimensionalityError, Quantity, trust_literals, unit

X = jnp.array([1.5, -0.25, 2.25, 0.75])
N = jnp.array([3.0, 1.0, 2.0, 5.0])
S = jnp.array([[4.25, -0.5, 1.25], [-0.5, 3.0, 0.25], [1.25, 0.25, 5.5]])
INTS = jnp.array([3, 1, 2, 7])
PLACES = jnp.array([0, 2, 0, 0])

# A function of lengths, its operands in km, and the power of metres of each output.
CASES = {
    "unique": (lambda x: jnp.unique(x, size=5), [X], [1]),
    "intersect1d": (lambda x, y: jnp.intersect1d(x, y, size=2), [X, X[:2]], [1]),
    "intersect1d-indices": (
        lambda x, y: jnp.intersect1d(x, y, size=2, return_indices=True),
        [X, X[:2]],
        [1, 0, 0],
    ),
    "hessenberg": (jsl.hessenberg, [S], [1]),
    "eigh_tridiagonal": (
        lambda d, e: jsl.eigh_tridiagonal(d, e, eigvals_only=True),
        [X, X[:3]],
        [1],
    ),
    "qr-pivoting": (lambda a: jsl.qr(a, pivoting=True), [S], [0, 1, 0]),
    "qr_multiply-pivoting": (
        lambda a, c: jsl.qr_multiply(a, c, pivoting=True),
        [S, X[:3]],
        [1, 1, 0],
    ),
    "polyfit-unscaled": (lambda y: jnp.polyfit(N, y, 1, cov="unscaled"), [X], [1, 0]),
    "polyfit-weights": (lambda y: jnp.polyfit(N, y, 1, w=y, cov="unscaled"), [X], [1, -2]),
    "polyfit-full": (lambda y: jnp.polyfit(N, y, 1, w=1 / y, full=True), [X], [1, 0, 0, 0, 0]),
    "pdf-scalar-mean": (
        lambda x: stats.multivariate_normal.pdf(x, 0.0, x[0] * x[0]),
        [X],
        [-1],
    ),
    "cg-start": (lambda a, b: iterative.cg(a, b, x0=b / a[0, 0], tol=1e-6)[0], [S, X[:3]], [0]),
    "cg-atol": (lambda a, b: iterative.cg(a, b, atol=b[0] * 1e-6)[0], [S, X[:3]], [0]),
    "gmres-preconditioner": (
        lambda a, b: iterative.gmres(a, b, M=jnp.linalg.inv(a))[0],
        [S, X[:3]],
        [0],
    ),
    "segment_max-integers": (lambda k: jax.ops.segment_max(k, PLACES, 3)[0::2], [INTS], [1]),
}


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("name", CASES)
def test_units_of_optional_outputs(name, compiled):
    function, operands, powers = CASES[name]
    expected = jax.tree.leaves(function(*[jnp.asarray(1000 * x) for x in operands]))
    run = quaxify(jax.jit(function)) if compiled else quaxify(function)
    out = run(*[Quantity(x, "km") for x in operands])
    results = jax.tree.leaves(out, is_leaf=lambda x: isinstance(x, Quantity))
    for result, power, number in zip(results, powers, expected, strict=True):
        if power:
            result = result.m_as(f"m**{power}")
        assert not isinstance(result, Quantity)
        np.testing.assert_allclose(result, number, rtol=2e-3, atol=2e-3 * np.abs(number).max())


REFUSED = {
    "take": lambda x: jnp.take(x, jnp.array([9]), mode="fill", fill_value=5.0),
    "get": lambda x: x.at[9].get(mode="fill", fill_value=5.0),
    "isclose": lambda x: jnp.isclose(x, x, rtol=x[0]),
    "unit-diagonal": lambda x: jsl.solve_triangular(
        jnp.outer(x, x), x, lower=True, unit_diagonal=True
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_options_with_another_unit_are_refused(name):
    with pytest.raises(DimensionalityError):
        quaxify(REFUSED[name])(Quantity(X, "km"))


def test_means_that_are_given_on_scales_with_an_offset():
    q = Quantity(X, "degC")
    mean = Quantity(50.0, "degF")  # 10 degC
    for wrap in (quaxify, lambda f: jax.jit(quaxify(f))):
        out = wrap(lambda q, mean: jnp.var(q, mean=mean))(q, mean)
        assert str(out.units) == "delta_degree_Celsius ** 2"
        np.testing.assert_allclose(out.m, jnp.var(X, mean=10.0), rtol=1e-5)


def test_a_list_of_quantities_is_one_quantity():
    legs = [Quantity(1.5, "m"), Quantity(2.0, "km"), 2.0 * pint.UnitRegistry().cm]
    assert str(Quantity(legs)) == str(Quantity(legs, "cm").to("m"))
    np.testing.assert_allclose(Quantity(legs, "cm").m, [150.0, 200_000.0, 2.0])
    with pytest.raises(DimensionalityError):
        Quantity([Quantity(1.0, "m"), Quantity(1.0, "s")])


def test_dimension_checks_as_pints():
    speed, ratio = Quantity(X, "km/hour"), Quantity(X, "km/m")
    assert speed.check("[length]/[time]") and speed.check("m/s") and not speed.check("[time]")
    assert not speed.dimensionless and ratio.dimensionless and not ratio.unitless


def test_fill_values_that_belong_to_the_unit():
    out = quaxify(lambda x: jnp.take(x, jnp.array([1, 9]), mode="fill", fill_value=0.5))(
        Quantity(X, "percent")
    )
    np.testing.assert_allclose(out.m_as("percent"), [-0.25, 50.0])
    out = quaxify(lambda x: jnp.take(x, jnp.array([1, 9]), mode="fill"))(Quantity(X, "km"))
    np.testing.assert_allclose(out.m_as("m"), [-250.0, np.nan])


def test_whole_multiples_are_counted_in_the_finer_unit():
    far, step = Quantity(jnp.array([5, 2]), "km"), Quantity(jnp.array([5, 700]), "m")
    for divide in (divmod, quaxify(jnp.divmod), jax.jit(quaxify(jnp.divmod))):
        count, rest = divide(far, step)
        np.testing.assert_array_equal(count, [1000, 2])
        assert str(rest.units) == "kilometer"
        np.testing.assert_allclose(rest.m_as("m"), [0.0, 600.0], rtol=1e-6)


def test_unit_diagonal_beside_numbers():
    a, b = Quantity(S, "km/m"), Quantity(X[:3], "s")
    solve = quaxify(lambda a, b: jsl.solve_triangular(a, b, lower=True, unit_diagonal=True))
    expected = jsl.solve_triangular(1000 * S, X[:3], lower=True, unit_diagonal=True)
    np.testing.assert_allclose(solve(a, b).m_as("s"), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["sum", "nansum", "mean", "nanmean", "nanmedian", "std"])
def test_of_no_elements_the_unit_stays(name):
    try:
        getattr(jnp, name)(jnp.zeros(0))
    except IndexError:
        pytest.skip("JAX 0.10 refuses it")
    for way in (quaxify(getattr(jnp, name)), jax.jit(quaxify(getattr(jnp, name)))):
        assert str(way(Quantity(jnp.zeros(0), "m")).units) == "meter"


@pytest.mark.parametrize("name", ["bicgstab", pytest.param("gmres", marks=pytest.mark.slow)])
def test_iterative_solves_of_functions(name):
    stiffness = Quantity(S, "kN/m")
    load, start = Quantity(X[:3] * 1e3, "N"), Quantity(jnp.array([10.0, 20.0, 5.0]), "cm")
    options = {"x0": start, "atol": Quantity(1e-6, "kN"), "tol": 1e-6}

    def displacement(k, b, **options):
        solve, more = getattr(iterative, name), Quantity(1.0, "N/cm")
        return solve(lambda v: k @ v - more * v + v * more, b, **options)[0]

    program = lambda k, b: displacement(k, b, M=lambda r: r / jnp.diag(k), **options)  # noqa: E731
    found = quaxify(program)(stiffness, load)
    np.testing.assert_allclose(found.m_as("m"), jnp.linalg.solve(S, X[:3]), rtol=1e-4)
    slope = sciquax.grad(lambda b: displacement(stiffness, b).sum())(load)
    np.testing.assert_allclose(slope.m_as("m/kN"), jnp.linalg.solve(S.T, jnp.ones(3)), rtol=1e-4)
    # within `quaxify` a cotangent has a unit of its own
    del options["atol"]  # a number to it, as in JAX
    slope = quaxify(jax.grad(lambda b: program(stiffness, b).sum()))(load)
    np.testing.assert_allclose(slope.m_as("m/kN"), jnp.linalg.solve(S.T, jnp.ones(3)), rtol=1e-4)
    bare = quaxify(lambda k, b: displacement(k, b, atol=1e-6))
    with pytest.raises(DimensionalityError, match=f"`{name}` got `atol` as plain numbers"):
        bare(stiffness, load)
    with trust_literals() as trusted:
        np.testing.assert_allclose(
            bare(stiffness, load).m_as("m"), jnp.linalg.solve(S, X[:3]), rtol=1e-4
        )
    assert [(t.value, str(t.unit)) for t in trusted] == [(1e-6, "newton")]


def test_iterative_solve_of_a_tree_whose_leaves_measure_different_things():
    """A force and a torque on a beam's end: coupled, symmetric in energies, a zero cotangent."""
    force, torque = Quantity(2.0, "kN"), Quantity(jnp.float32(3e3), "N*mm")
    k, c, d = Quantity(5.0, "N/mm"), Quantity(-7.0, "N/rad"), Quantity(9.0, "N*m/rad")

    def moved(f, m, k, c, d):
        return iterative.cg(lambda x: (k * x[0] + c * x[1], c * x[0] + d * x[1]), (f, m))[0]

    numbers = [x.to_base_units().m for x in (force, torque, k, c, d)]
    place, angle = jax.jit(quaxify(moved))(force, torque, k, c, d)
    K = jnp.array([[numbers[2], numbers[3]], [numbers[3], numbers[4]]])
    expected = jnp.linalg.solve(K, jnp.array(numbers[:2]))
    np.testing.assert_allclose([place.m_as("m"), angle.m_as("rad")], expected, rtol=1e-4)
    slope = jax.jit(quaxify(jax.grad(lambda f, *rest: moved(f, *rest)[0] ** 2)))
    found = slope(force, torque, k, c, d).m_as("m**2/N")
    np.testing.assert_allclose(found, 2 * expected[0] * jnp.linalg.inv(K)[0, 0], rtol=1e-4)


@pytest.mark.parametrize("name", ["cg", "gmres"])
def test_leaves_coupled_by_bare_numbers_are_named(name):
    def solved(b):
        return getattr(iterative, name)(lambda x: (3 * x[0] + x[1], x[0] + 2 * x[1]), b)[0]

    with pytest.raises(DimensionalityError) as info:
        quaxify(solved)((Quantity(jnp.ones(2), "m"), Quantity(jnp.ones(2), "s")))
    what, _, remedy = str(info.value).splitlines()
    assert what == (
        f"`{name}` got A and b that do not fit: leaf 1 of b is in 's', and A makes 'm' there of "
        "leaf 0 of x, which is in 'm'."
    )
    assert remedy == "What couples leaves that measure different things has a unit itself."


def test_products_over_windows():
    def product(x, start=1.0, padding="VALID"):
        return lax.reduce_window(x, start, lax.mul, (2,), (1,), padding)

    for way in (quaxify(product), jax.jit(quaxify(product))):
        out = way(Quantity(X, "km"))
        assert out.units == unit("km**2")
        np.testing.assert_allclose(out.m, X[1:] * X[:-1])
    for refused in ({"start": 2.0}, {"padding": "SAME"}):  # windows at the edge hold less
        with pytest.raises(DimensionalityError, match="The function of a `reduce_window` takes"):
            quaxify(lambda x, options=refused: product(x, **options))(Quantity(X, "km"))


def test_a_grid_of_several_dimensions():
    times, places = jnp.array([0.0, 1.0, 4.0]), jnp.array([-1.0, 0.0, 3.0, 5.0])
    values = jnp.arange(12.0).reshape(3, 4) ** 2

    def at(t, x, v, *place, **options):
        return RegularGridInterpolator((t, x), v, **options)(place)

    grid = Quantity(times, "s"), Quantity(places, "degC"), Quantity(values, "K")
    expected = at(times, places, values, jnp.array([0.5, 2.0, 9.0]), jnp.array([1.0, 4.5, 2.0]))
    where = Quantity(jnp.array([500.0, 2e3, 9e3]), "ms"), Quantity([274.15, 277.65, 275.15], "K")
    for way in (quaxify(at), jax.jit(quaxify(at))):
        out = way(*grid, *where)
        assert out.units == unit("K")
        np.testing.assert_allclose(out.m, expected, rtol=1e-4)
    with pytest.raises(DimensionalityError, match="which measure different things"):
        quaxify(at)(*grid, *where[::-1])
