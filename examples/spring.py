"""A damped spring, in the units on the data sheet.

`spring` below is a plain vector field: it would run unchanged on bare numbers.
The answer is compared with the closed form of an underdamped oscillator,

    x(t) = x0 exp(-g t) (cos w t + g/w sin w t),   g = c / 2m,   w**2 = k/m - g**2

(L. D. Landau and E. M. Lifshitz, *Mechanics*, section 25).

    python examples/spring.py [--output spring.png]
"""

import sys

import sciquax.numpy as jnp
from sciquax.interop import diffrax as dfx
from sciquax.units import Quantity


def spring(t, state, args):
    """Hooke's law with friction proportional to the velocity."""
    position, velocity = state
    mass, stiffness, damping = args
    return velocity, -(stiffness * position + damping * velocity) / mass


mass, stiffness, damping = Quantity(2.0, "kg"), Quantity(50.0, "N/m"), Quantity(1.5, "N*s/m")
start, times = Quantity(10.0, "cm"), Quantity(jnp.linspace(0.0, 4.0, 9), "s")
solution = dfx.diffeqsolve(
    dfx.ODETerm(spring), dfx.Tsit5(), t0=times[0], t1=times[-1], dt0=Quantity(10.0, "ms"),
    y0=(start, Quantity(0.0, "m/s")), args=(mass, stiffness, damping), saveat=dfx.SaveAt(ts=times),
)  # fmt: skip
assert solution.ys is not None  # it is None only where nothing was to be saved
position, velocity = solution.ys

decay = damping / (2 * mass)
frequency = jnp.sqrt(stiffness / mass - decay**2)


def closed_form(t):
    phase = frequency * t
    return start * jnp.exp(-decay * t) * (jnp.cos(phase) + decay / frequency * jnp.sin(phase))


print("   time    position     velocity       error")
for t, x, v, error in zip(times, position, velocity, position - closed_form(times), strict=True):
    print(f"{t.m_as('s'):5.1f} s {x.m_as('cm'):8.4f} cm", end=" ")
    print(f"{v.m_as('cm/s'):7.2f} cm/s {error.m_as('um'):8.4f} um")

if "--output" in sys.argv:
    from matplotlib import pyplot as plt

    from sciquax.interop.matplotlib import plot_units

    fine = Quantity(jnp.linspace(0.0, 4.0, 401), "s")
    with plot_units():  # matplotlib takes quantities as they are
        figure, axis = plt.subplots(figsize=(5.5, 3.3), layout="constrained")
        axis.plot(fine, closed_form(fine), label="closed form")
        axis.plot(fine, start * jnp.exp(-decay * fine), "--", label="envelope")
        axis.plot(times, position, "o", label="Diffrax")
        axis.set(title="A damped spring", xlabel="time (s)", ylabel="position (cm)")
        axis.legend()
        figure.savefig(sys.argv[sys.argv.index("--output") + 1], dpi=180)
