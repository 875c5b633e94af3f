"""Low-rank adaptation: `LoraArray`, a weight plus an update of low rank, and models of such."""

from . import (  # enrol their rules
    _arithmetic as _arithmetic,
    _dot_general as _dot_general,
    _functions as _functions,
    _moving as _moving,
)
from ._adapters import (
    base_model as base_model,
    extract_adapters as extract_adapters,
    load_adapters as load_adapters,
    with_adapters as with_adapters,
)
from ._array import LoraArray as LoraArray
from ._dora import DoraArray as DoraArray
from ._files import read_adapters as read_adapters, save_adapters as save_adapters
from ._loraify import loraify as loraify
from ._models import (
    adapter_filter as adapter_filter,
    factor_labels as factor_labels,
    lora_dropout as lora_dropout,
    merge as merge,
    unmerge as unmerge,
)
from ._peft import read_peft as read_peft, save_peft as save_peft
