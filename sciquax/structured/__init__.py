"""Arrays with structure: matrices, low-rank updates, sparse and quantised arrays, zeros."""

from . import (  # enrol rules
    _lora_rules as _lora_rules,
    _quantised_rules as _quantised_rules,
    _sparse_rules as _sparse_rules,
)
from ._lora import LoraArray as LoraArray
from ._loraify import (
    adapter_filter as adapter_filter,
    extract_adapters as extract_adapters,
    load_adapters as load_adapters,
    lora_dropout as lora_dropout,
    loraify as loraify,
    merge as merge,
    read_adapters as read_adapters,
    save_adapters as save_adapters,
    unmerge as unmerge,
)
from ._quantised import (
    QuantisedArray as QuantisedArray,
    quantise as quantise,
    quantise_model as quantise_model,
)
from ._sparse import BCOO as BCOO
from ._zero import Zero as Zero
