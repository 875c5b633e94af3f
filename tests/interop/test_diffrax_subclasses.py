"""Parts of the user's own: what a subclass of Diffrax's classes overrides stays overridden."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sciquax.interop import diffrax as dfx
from sciquax.units import Quantity

CALLED: list[str] = []


@pytest.fixture(autouse=True)
def nothing_called():
    CALLED.clear()


def noting(base, *methods):
    """A subclass that notes which of these methods are called, and does what they do."""

    def method(name):
        def noted(self, *args, **kwargs):
            CALLED.append(name)
            return getattr(base, name)(self, *args, **kwargs)

        return noted

    return type(f"My{base.__name__}", (base,), {name: method(name) for name in methods})


def units(x, unit, with_units):
    return Quantity(x, unit) if with_units else x


def solve(with_units, terms=None, dt0=0.05, **options):
    """From 1 m to exp(-2) m in two seconds, of 1/s."""
    rate = units(1.0, "1/s", with_units)
    terms = terms(rate) if terms else dfx.ODETerm(lambda t, y, args: -rate * y)
    return dfx.diffeqsolve(
        terms,
        dfx.Heun(),
        units(0.0, "s", with_units),
        units(2.0, "s", with_units),
        None if dt0 is None else units(dt0, "s", with_units),
        units(jnp.float32(1.0), "m", with_units),
        **options,
    )


def final(solution):
    return float(solution.ys.m_as("m")[-1] if hasattr(solution.ys, "m") else solution.ys[-1])


BOTH = pytest.mark.parametrize("with_units", [False, True], ids=["numbers", "units"])


@BOTH
def test_multi_terms(with_units):
    class Half(diffrax.MultiTerm):
        def prod(self, vf, control):
            return jax.tree.map(lambda x: 0.5 * x, super().prod(vf, control))

        def vf_prod(self, t, y, args, control):
            return jax.tree.map(lambda x: 0.5 * x, super().vf_prod(t, y, args, control))

    terms = lambda rate: Half(  # noqa: E731
        dfx.ODETerm(lambda t, y, args: -0.25 * rate * y),
        dfx.ODETerm(lambda t, y, args: -0.75 * rate * y),
    )
    np.testing.assert_allclose(final(solve(with_units, terms)), np.exp(-1.0), rtol=1e-3)


@BOTH
def test_controllers(with_units):
    methods = ("wrap", "init", "adapt_step_size")
    ts = units(jnp.linspace(0.0, 2.0, 41), "s", with_units)
    controller = noting(dfx.StepTo, *methods)(ts)
    solution = solve(with_units, dt0=None, stepsize_controller=controller)
    np.testing.assert_allclose(final(solution), np.exp(-2.0), rtol=1e-3)
    assert set(CALLED) == set(methods)
    CALLED.clear()
    controller = noting(diffrax.PIDController, *methods)(rtol=1e-4, atol=1e-4)
    solve(with_units, stepsize_controller=controller)
    assert set(CALLED) == set(methods)


@pytest.mark.parametrize("name", ["RecursiveCheckpointAdjoint", "ForwardMode", "BacksolveAdjoint"])
def test_adjoints(name):
    adjoint = noting(getattr(diffrax, name), "loop")()
    np.testing.assert_allclose(final(solve(True, adjoint=adjoint)), np.exp(-2.0), rtol=1e-3)
    assert CALLED == 2 * ["loop"]  # once in a trial on quantities


@BOTH
def test_backsolve_with_arguments(with_units):
    mine = noting(diffrax.BacksolveAdjoint, "loop")
    solve(with_units, adjoint=mine(dt0=units(100.0, "ms", with_units) if with_units else 0.1))
    assert set(CALLED) == {"loop"}


PATHS = pytest.mark.parametrize(
    ("module", "with_units"),
    [(diffrax, False), (dfx, False), (dfx, True)],
    ids=["Diffrax's", "ours", "ours, with units"],
)


@PATHS
def test_brownian_paths(with_units, module):
    """Antithetic ones: minus the increments."""

    class Antithetic(module.VirtualBrownianTree):
        def evaluate(self, t0, t1=None, left=True, use_levy=False):
            return jax.tree.map(lambda w: -w, super().evaluate(t0, t1, left, use_levy))

    ends = units(0.0, "s", with_units), units(2.0, "s", with_units)
    tol = units(0.01, "s", with_units)
    key = jax.random.key(0)
    found = []
    for cls in (module.VirtualBrownianTree, Antithetic):
        path = cls(*ends, tol, (), key)
        noise = units(1.0, "m/s**0.5", with_units)
        term = dfx.ControlTerm(lambda t, y, args: noise, path)
        sol = dfx.diffeqsolve(
            term, dfx.Euler(), *ends, units(0.1, "s", with_units),
            units(jnp.float32(0.0), "m", with_units),
        )  # fmt: skip
        found.append(final(sol))
    assert found[0] != 0
    np.testing.assert_allclose(found[1], -found[0], rtol=1e-5)


@PATHS
def test_interpolations_as_controls(with_units, module):
    """Twice the data, and so four times their increments, of which Diffrax asks it too."""

    class Twice(module.LinearInterpolation):
        def evaluate(self, t0, t1=None, left=True):
            return jax.tree.map(lambda x: 2 * x, super().evaluate(t0, t1, left))

    ts = units(jnp.array([0.0, 1.0, 2.0]), "s", with_units)
    ys = units(jnp.array([0.0, 3.0, 5.0]), "m", with_units)
    sol = dfx.diffeqsolve(
        dfx.ControlTerm(lambda t, y, args: 1.0, Twice(ts, ys)), dfx.Euler(),
        units(0.0, "s", with_units), units(2.0, "s", with_units), units(0.5, "s", with_units),
        units(jnp.float32(1.0), "m", with_units),
    )  # fmt: skip
    np.testing.assert_allclose(final(sol), 21.0, rtol=1e-5)


@BOTH
def test_langevin_terms(with_units):
    class Still(diffrax.UnderdampedLangevinDriftTerm):
        def vf(self, t, y, args):
            CALLED.append("vf")
            return super().vf(t, y, args)

    gamma, u = units(1.0, "1/s", with_units), units(1.0, "m**2/s**2", with_units)
    ends = units(0.0, "s", with_units), units(1.0, "s", with_units)
    path = dfx.VirtualBrownianTree(
        *ends, units(0.01, "s", with_units), (), jax.random.key(1),
        levy_area=diffrax.SpaceTimeTimeLevyArea,
    )  # fmt: skip
    drift = Still(gamma, u, lambda x, args=None: x / units(1.0, "m**2", with_units))
    noise = noting(diffrax.UnderdampedLangevinDiffusionTerm, "contr")(gamma, u, path)
    y0 = units(jnp.float32(1.0), "m", with_units), units(jnp.float32(0.0), "m/s", with_units)
    dfx.diffeqsolve(
        dfx.MultiTerm(drift, noise), dfx.Euler(), *ends, units(0.1, "s", with_units), y0
    )
    assert set(CALLED) == {"vf", "contr"}


def test_fields_of_another_release_are_kept():
    """Parts are edited, not made anew of the fields that are known here."""

    class Newer(dfx.StepTo):
        extra: float = eqx.field(default=2.0, kw_only=True)

        def wrap(self, direction):
            CALLED.append(str(self.extra))
            return super().wrap(direction)

    controller = Newer(Quantity(jnp.linspace(0.0, 2.0, 41), "s"), extra=3.0)
    solve(True, dt0=None, stepsize_controller=controller)
    assert CALLED == ["3.0"]
