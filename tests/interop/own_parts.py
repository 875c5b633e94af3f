# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false
# pyright: reportAssignmentType=false
"""Solvers and step size controllers as users write them, for numbers and for quantities alike."""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix as optx
from equinox.internal import ω


class Heun(diffrax.AbstractSolver):
    term_structure = diffrax.AbstractTerm
    interpolation_cls = diffrax.LocalLinearInterpolation

    def order(self, terms):
        return 2

    def init(self, terms, t0, t1, y0, args):
        return None

    def func(self, terms, t0, y0, args):
        return terms.vf(t0, y0, args)

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        control = terms.contr(t0, t1)
        k0 = terms.vf_prod(t0, y0, args, control)
        k1 = terms.vf_prod(t1, (y0**ω + k0**ω).ω, args, control)
        y1 = (y0**ω + 0.5 * (k0**ω + k1**ω)).ω
        error = (0.5 * (k1**ω - k0**ω)).ω
        return y1, error, dict(y0=y0, y1=y1), None, diffrax.RESULTS.successful


class Larger(Heun):
    """The second leaf is never below the first: a maximum over leaves in different units."""

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        y0 = (y0[0], jnp.maximum(y0[1], y0[0]))
        return super().step(terms, t0, t1, y0, args, solver_state, made_jump)


class Hyper(Heun):
    """The square of a step times a network's output, which is a number."""

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        h = t1 - t0
        y1 = y0 + h * terms.vf(t0, y0, args) + h**2 * jnp.tanh(1.0)
        return y1, None, dict(y0=y0, y1=y1), None, diffrax.RESULTS.successful


class Remembers(Heun):
    """Adams and Bashforth's method of two steps; its first slope is a zero of whatever unit."""

    def init(self, terms, t0, t1, y0, args):
        return jnp.array(True), jnp.zeros_like(y0)

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        first, before = solver_state
        slope = terms.vf(t0, y0, args)
        before = jnp.where(first, slope, before)
        y1 = y0 + (t1 - t0) * (1.5 * slope - 0.5 * before)
        state = jnp.array(False), slope
        return y1, None, dict(y0=y0, y1=y1), state, diffrax.RESULTS.successful


class Straight(diffrax.AbstractLocalInterpolation):
    t0: Any
    t1: Any
    y0: Any
    y1: Any

    def evaluate(self, t0, t1=None, left=True):
        if t1 is not None:
            return self.evaluate(t1) - self.evaluate(t0)
        return self.y0 + (t0 - self.t0) / (self.t1 - self.t0) * (self.y1 - self.y0)


class Interpolated(Heun):
    interpolation_cls = Straight


class Backward(diffrax.AbstractImplicitSolver):
    root_finder: Any = diffrax.with_stepsize_controller_tols(optx.Newton)()
    root_find_max_steps: int = 20
    term_structure = diffrax.AbstractTerm
    interpolation_cls = diffrax.LocalLinearInterpolation
    order, init, func = (lambda self, terms: 1), Heun.init, Heun.func

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        control = terms.contr(t0, t1)

        def residual(y1, args):
            return (y1**ω - y0**ω - terms.vf_prod(t1, y1, args, control) ** ω).ω

        found = optx.root_find(residual, self.root_finder, y0, args, throw=False)
        y1, result = found.value, diffrax.RESULTS.promote(found.result)
        error = (y1**ω - y0**ω - terms.vf_prod(t0, y0, args, control) ** ω).ω
        return y1, error, dict(y0=y0, y1=y1), None, result


class Iterated(diffrax.Euler):
    """An implicit step by another of Optimistix's entry points than `root_find`."""

    minimises: bool = False

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        def following(y1, args):
            return (y0**ω + terms.vf_prod(t1, y1, args, terms.contr(t0, t1)) ** ω).ω

        if self.minimises:
            miss = lambda y, args: jnp.sum((y - following(y, args)) ** 2)  # noqa: E731
            found = optx.minimise(miss, optx.BFGS(1e-5, 1e-5), y0, args, throw=False)
        else:
            steps = optx.FixedPointIteration(1e-5, 1e-5)
            found = optx.fixed_point(following, steps, y0, args, throw=False)
        return found.value, None, dict(y0=y0, y1=found.value), None, diffrax.RESULTS.successful


class Leapfrog(diffrax.AbstractSolver):
    """For a pair of terms: what positions do by velocities, and velocities by positions."""

    term_structure = (diffrax.AbstractTerm, diffrax.AbstractTerm)
    interpolation_cls = diffrax.LocalLinearInterpolation
    order, init = Heun.order, Heun.init

    def func(self, terms, t0, y0, args):
        return terms[0].vf(t0, y0[1], args), terms[1].vf(t0, y0[0], args)

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        (x, v), half = y0, t0 + (t1 - t0) / 2
        v = v + terms[1].vf_prod(t0, x, args, terms[1].contr(t0, half))
        x = x + terms[0].vf_prod(t0, v, args, terms[0].contr(t0, t1))
        v = v + terms[1].vf_prod(t1, x, args, terms[1].contr(half, t1))
        return (x, v), None, dict(y0=y0, y1=(x, v)), None, diffrax.RESULTS.successful


class Maruyama(diffrax.AbstractItoSolver):
    term_structure = diffrax.MultiTerm[tuple[diffrax.ODETerm, diffrax.AbstractTerm]]
    interpolation_cls = diffrax.LocalLinearInterpolation
    order, init, func = (lambda self, terms: 1), Heun.init, Heun.func

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        drift, noise = terms.terms
        y1 = y0 + drift.vf_prod(t0, y0, args, drift.contr(t0, t1))
        y1 = y1 + noise.vf(t0, y0, args) * noise.contr(t0, t1)
        return y1, None, dict(y0=y0, y1=y1), None, diffrax.RESULTS.successful


class Halved(diffrax.AbstractWrappedSolver):
    """Two steps of another solver for each, of half the vector field."""

    solver: Any
    term_structure = property(lambda self: self.solver.term_structure)
    interpolation_cls = property(lambda self: self.solver.interpolation_cls)

    def order(self, terms):
        return self.solver.order(terms)

    def init(self, terms, t0, t1, y0, args):
        return self.solver.init(terms, t0, t1, y0, args)

    def func(self, terms, t0, y0, args):
        return self.solver.func(terms, t0, y0, args)

    def step(self, terms, t0, t1, y0, args, state, made_jump):
        share = (t1 - t0) / (t1 - t0) / 2
        half = diffrax.ODETerm(
            lambda t, y, args: jax.tree.map(lambda x: share * x, terms.vf(t, y, args))
        )
        y1, _, _, state, _ = self.solver.step(half, t0, t1, y0, args, state, made_jump)
        return self.solver.step(half, t0, t1, y1, args, state, made_jump)


class Capped(diffrax.AbstractStepSizeController):
    """No step longer than `cap`."""

    controller: Any
    cap: Any

    def wrap(self, direction):
        return Capped(self.controller.wrap(direction), self.cap)

    def init(self, terms, t0, t1, y0, dt0, args, func, error_order):
        given = terms, t0, t1, y0, dt0, args, func, error_order
        t1, state = self.controller.init(*given)
        return jnp.minimum(t1, t0 + self.cap), state

    def adapt_step_size(self, t0, t1, y0, y1_candidate, args, y_error, error_order, state):
        given = t0, t1, y0, y1_candidate, args, y_error, error_order, state
        keep, t0, t1, *rest = self.controller.adapt_step_size(*given)
        return keep, t0, jnp.minimum(t1, t0 + self.cap), *rest


class Patient(diffrax.PIDController):
    """Half of the step that Diffrax's would take."""

    def adapt_step_size(self, *args):
        keep, t0, t1, *rest = diffrax.PIDController.adapt_step_size(self, *args)
        return keep, t0, t0 + (t1 - t0) / 2, *rest


class Doubling(diffrax.AbstractAdaptiveStepSizeController):
    """Its own tolerances, and in its state the time of the last step that it kept."""

    rtol: Any
    atol: Any
    norm = staticmethod(optx.rms_norm)

    def wrap(self, direction):
        return self

    def init(self, terms, t0, t1, y0, dt0, args, func, error_order):
        return t0 + dt0, t0

    def adapt_step_size(self, t0, t1, y0, y1_candidate, args, y_error, error_order, state):
        scale = self.atol + self.rtol * jnp.abs(y1_candidate)
        keep = jnp.max(jnp.abs(y_error) / scale) < 1
        step = jnp.where(keep, 1.5, 0.5) * (t1 - t0)
        start = jnp.where(keep, t1, t0)
        state = jnp.where(keep, t1, state)
        return keep, start, start + step, False, state, diffrax.RESULTS.successful


class Coin(diffrax.AbstractBrownianPath):
    """Independent increments over steps of one length."""

    key: Any
    t0: Any
    t1: Any
    step: Any
    shape: Any = eqx.field(static=True, default=jax.ShapeDtypeStruct((), jnp.float32))
    levy_area: Any = eqx.field(static=True, default=diffrax.BrownianIncrement)

    def evaluate(self, t0, t1=None, left=True, use_levy=False):
        number = jnp.round((t0 - self.t0) / self.step).astype(int)
        return jax.random.normal(jax.random.fold_in(self.key, number), ()) * jnp.sqrt(t1 - t0)


class Damped(optx.AbstractRootFinder):
    """Newton's method for one unknown, whose increments have at most the size `cap`."""

    rtol: Any
    atol: Any
    cap: Any = None
    norm = staticmethod(optx.max_norm)

    def init(self, fn, y, args, options, f_struct, aux_struct, tags):
        return jnp.full(y.shape, jnp.inf, y.dtype)

    def step(self, fn, y, args, options, state, tags):
        f, aux = fn(y, args)
        increment = f / jax.jacfwd(lambda y: fn(y, args)[0])(y)
        if self.cap is not None:
            increment = jnp.clip(increment, -self.cap, self.cap)
        return y - increment, increment, aux

    def terminate(self, fn, y, args, options, state, tags):
        done = jnp.abs(state) < self.atol + self.rtol * jnp.abs(y)
        return done, optx.RESULTS.successful

    def postprocess(self, fn, y, aux, args, options, state, tags, result):
        return y, aux, {}


class _Capped:
    cap = staticmethod(lambda y: 0.05)

    def step(self, fn, y, args, options, state, tags):
        y1, state, aux = super().step(fn, y, args, options, state, tags)
        return jnp.clip(y1, y - self.cap(y), y + self.cap(y)), state, aux


class CappedNewton(_Capped, optx.Newton):
    pass


class CappedGaussNewton(_Capped, optx.GaussNewton):
    pass


class CappedBFGS(_Capped, optx.BFGS):
    pass


class Shifting(diffrax.RecursiveCheckpointAdjoint):
    shift: Any = 1.0

    def loop(self, **given):
        final, stats = super().loop(**given)
        return eqx.tree_at(lambda state: state.y, final, final.y + self.shift), stats
