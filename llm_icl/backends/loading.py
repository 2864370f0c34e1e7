"""Loads pretrained weights with transformers: all of them, or an error that names those that could not be loaded."""

import itertools
import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llm_icl.errors import RequestError

# What an error names of a long list of weights.
_NAMED = 3
# Tensors that some versions save although they follow from the configuration.
_COMPUTED = re.compile(
    r"(^|\.)(inv_freq|rotary_emb\.\w+|position_ids|(attn|attention)\.bias|masked_bias|causal_mask|_extra_state"
    r"|embed_positions\.weights|num_batches_tracked|rope_freqs\.weight|rope_factors_(long|short)\.weight)$"
)

# Tensors of adapters, by peft's names: low-rank updates, scales, prompts, and the layers that these wrap.
_ADAPTER = re.compile(
    r"(^|\.)(lora_\w+|ia3_\w+|hada_\w+|lokr_\w+|vera_\w+|oft_\w+|adaption_\w+|prompt_encoder|prompt_embeddings"
    r"|modules_to_save|base_layer|original_module)(\.|$)"
)


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Turn any error into a RequestError of one line: file readers, formats and devices raise anything."""
    try:
        yield
    except RequestError:
        raise
    except Exception as problem:
        reason = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
        raise RequestError(f"model '{name}' cannot be loaded: {reason}") from None


def load_tokenizer(source: str | Path, arguments: Mapping[str, Any], own: bool) -> Any:
    """The tokenizer, with the arguments of `from_pretrained`.

    A folder of our `own` names the class that it was saved from. Elsewhere transformers finds it by the model's
    configuration, and imports PyTorch and its distributed tensors for that: 1.3 s.
    """
    import transformers

    named = ""
    if own:
        named = json.loads((Path(source) / "tokenizer_config.json").read_text())["tokenizer_class"]
    return getattr(transformers, named or "AutoTokenizer").from_pretrained(source, **arguments)


def load_model(auto: Any, name: str, source: str | Path, dtype: Any, arguments: Mapping[str, Any]) -> Any:
    """The pretrained model of `auto`, one of transformers' AutoModel classes, with the arguments of `from_pretrained`.

    transformers gives random values to weights that a checkpoint lacks, and ignores weights for which the model has no
    place. Raises RequestError, naming some, where weights are missing, have another shape or are not finite, and where
    the checkpoint has weights that would change what the model computes.
    """
    how = dict(arguments)
    if "gguf_file" in how:
        from transformers import GgufConfig

        how["quantization_config"] = GgufConfig(dequantize=True)  # else weights stay packed where kernels allow it
    with loading(name):
        model, report = auto.from_pretrained(
            source, dtype=dtype, output_loading_info=True, ignore_mismatched_sizes=True, **how
        )
        faults = list(_faults(model, report))
        if "gguf_file" in how and not faults:
            faults = list(_unread(model, Path(source) / how["gguf_file"]))
    if faults:
        raise RequestError(f"model '{name}' cannot be loaded: {'; '.join(faults)}")
    return model


def _faults(model: Any, report: Mapping[str, Any]) -> Iterator[str]:
    """What went wrong, in words."""
    missing, unexpected = report["missing_keys"], report["unexpected_keys"]
    if missing:
        whole = len(model.state_dict())
        yield f"the checkpoint lacks {len(missing)} of the model's {whole} weights ({_some(missing)})"
    elif not _is_quantized(model):  # else the quantizer knows what its tensors are
        unexpected = [key for key in unexpected if _matters(key, model)]
    if unexpected:
        yield f"the checkpoint has {_counted(unexpected)} for which the model has no place ({_some(unexpected)})"
    shapes = [f"{key}: {list(found)}, not {list(own)}" for key, found, own in report["mismatched_keys"]]
    if shapes:
        have = "has" if len(shapes) == 1 else "have"
        yield f"{_counted(shapes)} in the checkpoint {have} another shape than in the model ({_some(shapes)})"
    yield from map(str, report["error_msgs"])
    broken = [key for key, tensor in model.state_dict().items() if not _is_finite(tensor)]
    if broken:
        yield f"{_counted(broken)} {'is' if len(broken) == 1 else 'are'} not finite ({_some(broken)})"


def _matters(key: str, model: Any) -> bool:
    """Whether a tensor without a place in the model would change what it computes.

    It would if it belongs inside a layer or to a module with weights of its own: a bias that the configuration omits,
    the scale of a quantized weight, an adapter, a further layer. It would not if it belongs to a module that the model
    does not have, such as another head or a vision tower, or if it follows from the configuration.
    """
    from torch.nn import ModuleList

    if _COMPUTED.search(key):
        return False
    if _ADAPTER.search(key):
        return True
    modules = dict(model.named_modules())
    prefix = f"{model.base_model_prefix}."
    parts = (key if prefix[:-1] in modules else key.removeprefix(prefix)).split(".")
    paths = [".".join(parts[:i]) for i in range(len(parts))]  # "", "model", "model.layers", …
    owners = [modules[path] for path in itertools.takewhile(modules.__contains__, paths)]
    owner, rest = owners[-1], parts[len(owners) - 1 :]
    if isinstance(owner, ModuleList) and rest[0].isdigit():
        # Layers after the last one that predict further tokens are not used.
        further = getattr(model.config, "num_nextn_predict_layers", None) or 0
        return not len(owner) <= int(rest[0]) < len(owner) + further
    has_weights = next(owner.parameters(recurse=False), None) is not None
    beside = has_weights and (len(rest) == 1 or next(owner.children(), None) is None)
    return beside or any(isinstance(module, ModuleList) for module in owners)


def _unread(model: Any, file: Path) -> Iterator[str]:
    """Compare the number of weights in a GGUF file with that of the model: transformers skips tensors that it does not
    know without a word.
    """
    from gguf import GGUFReader

    tensors = [tensor for tensor in GGUFReader(file).tensors if not _COMPUTED.search(tensor.name)]
    there, loaded = sum(int(tensor.n_elements) for tensor in tensors), model.num_parameters()
    if there > loaded:
        yield f"of the {there:,} weights in the file only {loaded:,} have a place in the model"


def _is_quantized(model: Any) -> bool:
    return getattr(model, "hf_quantizer", None) is not None


def _is_finite(tensor: Any) -> bool:
    if not tensor.is_floating_point() or tensor.itemsize < 2:  # quantized
        return True
    # A sum is not finite if one of its terms is not, and takes no memory; it may also overflow, then all are looked at.
    return bool(tensor.sum().isfinite()) or bool(tensor.isfinite().all())


def _counted(keys: Collection[str]) -> str:
    return f"{len(keys)} weight{'s' if len(keys) > 1 else ''}"


def _some(keys: Collection[str]) -> str:
    return ", ".join(sorted(keys)[:_NAMED]) + (", …" if len(keys) > _NAMED else "")
