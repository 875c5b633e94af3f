"""Reading and writing files of the safetensors format, which holds named arrays and some text.

Eight bytes say how long the header is; the header is JSON that tells each array's dtype, shape and
place; the bytes of the arrays follow (https://github.com/huggingface/safetensors, "Format").
"""

import json
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

_DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": jnp.bfloat16,
    "F8_E4M3": jnp.float8_e4m3fn,
    "F8_E5M2": jnp.float8_e5m2,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}


def to_bytes(arrays: Mapping[str, Any], metadata: Mapping[str, str]) -> bytes:
    """The file's content. **Raises** ValueError for a dtype that the format has no name for."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    parts, start = [], 0
    for name, x in sorted(arrays.items()):
        array = np.ascontiguousarray(x)
        if array.dtype not in _NAMES:
            raise ValueError(f"safetensors has no name for the dtype {array.dtype} of `{name}`.")
        part = array.tobytes()
        header[name] = {
            "dtype": _NAMES[array.dtype],
            "shape": list(np.shape(x)),
            "data_offsets": [start, start + len(part)],
        }
        parts.append(part)
        start += len(part)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(parts)


def from_bytes(content: bytes) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and the text. **Raises** ValueError for another file, or a part of one."""
    length = int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8 : 8 + length]) if len(content) >= 8 + length > 8 else None
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise ValueError("This is no safetensors file.")
    metadata = header.pop("__metadata__", {})
    arrays = {}
    for name, entry in header.items():
        if entry["dtype"] not in _DTYPES:
            raise ValueError(f"`{name}` has a dtype that is not read here, {entry['dtype']}.")
        dtype = np.dtype(_DTYPES[entry["dtype"]])
        start, end = entry["data_offsets"]
        part = content[8 + length + start : 8 + length + end]
        if len(part) != end - start or len(part) != dtype.itemsize * int(np.prod(entry["shape"])):
            raise ValueError(f"The file ends within `{name}`, or states its size wrongly.")
        arrays[name] = np.frombuffer(part, dtype).reshape(entry["shape"])
    return arrays, metadata
