"""Low-rank adaptation: `LoraArray`, a weight plus an update of low rank, and models of such."""

from . import (  # enrol their rules
    _arithmetic as _arithmetic,
    _dot_general as _dot_general,
    _functions as _functions,
    _moving as _moving,
)
from ._array import LoraArray as LoraArray
from ._models import (
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
