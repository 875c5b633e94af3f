"""The known releases of JAX, and the names of theirs that we use although they are not exported."""

import importlib
import importlib.metadata

OLDEST, NEWEST = "0.10.2", "0.12"

PRIVATE = {
    "ad_util": "Zero instantiate zeros_like_aval",
    "api": "_jacfwd_unravel _jacrev_unravel _jvp _std_basis",
    "api_util": "fun_sourceinfo",
    "config": "trace_context",
    "core": "JaxprEqnContext ShapedArray Trace Tracer auto_insert_reshard aval_property "
    "ensure_no_leaks eval_trace is_concrete pytype_aval_mappings set_current_trace "
    "take_current_trace trace_ctx trace_state_clean typeof",
    "dispatch": "apply_primitive xla_primitive_callable",
    "dtypes": "is_weakly_typed register_canonicalize_value_handler",
    "interpreters.partial_eval": "DynamicJaxprTrace DynamicJaxprTracer TracebackScope "
    "convert_constvars_jaxpr dce_jaxpr trace_to_jaxpr_dynamic",
    "lax.lax": "_replace_zero",
    "linear_util": "DebugInfo wrap_init",
    "numpy.indexing": "rewriting_take",
    "numpy.linalg": "EigResult EighResult QRResult SVDResult SlogdetResult",
    "ops.scatter": "_scatter_update",
    "pjit": "_infer_params",
    "source_info_util": "current is_user_filename reset_name_stack user_frames",
    "traceback_util": "_filtering_mode api_boundary register_exclusion",
    "tree_util": "default_registry",
}
"""Names in the modules of `jax._src` that every release named above has."""


def check_known() -> None:
    """**Raises** ImportError, with what to install, where JAX lacks a name that is used."""
    missing = [
        f"jax._src.{module}.{name}"
        for module, names in PRIVATE.items()
        for name in names.split()
        if not _has(module, name)
    ]
    if missing:
        jax, ours = map(importlib.metadata.version, ("jax", "sciquax"))
        raise ImportError(
            f"sciquax {ours} knows JAX {OLDEST} to {NEWEST}, and JAX {jax} is installed, which "
            f'lacks {", ".join(missing)}. Install a JAX among those, `pip install "jax>={OLDEST},'
            f'<{_next(NEWEST)}"`, or a newer sciquax.'
        )


def _has(module: str, name: str) -> bool:
    try:
        return hasattr(importlib.import_module(f"jax._src.{module}"), name)
    except ImportError:
        return False


def _next(release: str) -> str:
    major, minor = release.split(".")
    return f"{major}.{int(minor) + 1}"
