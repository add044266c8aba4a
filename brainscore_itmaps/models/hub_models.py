"""Vision models of Hugging Face's transformers, by their name on the hub or from a folder."""

import hashlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
from PIL import Image

from brainscore_itmaps.downloads import check_cached, hub_offline_mode
from brainscore_itmaps.errors import ItMapsError, ModelError, one_line
from brainscore_itmaps.models.forward import KEYWORD, input_channels
from brainscore_itmaps.models.layers import committed_layers, readout_layer
from brainscore_itmaps.models.names import is_local_hub_model
from brainscore_itmaps.models.preprocessing import grey_preprocessing
from brainscore_itmaps.models.spec import HostedWeights, ModelSpec
from brainscore_itmaps.settings import expanded

PREFIX = "hf:"
CLASSIFIER = "ForImageClassification"
UNUSED = ("pooler.", "classifier.", "head.", "layernorm.", "post_layernorm.")
"""Parts of names of parameters that come after all layers with maps: they may have random values, with a note."""
CLASSIFIERS = ("classifier.", "head.")
NOT_COMPUTED = ("architectures", "dtype", "id2label", "label2id", "transformers_version")
"""Keys of configurations that do not change what a model computes."""
DEFAULTS: dict[str, Any] = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "interpolation": "bilinear", "crop": 1.0}


def build_hub_model(name: str, seed: int, **options: Any) -> torch.nn.Module:
    """Build a vision model of transformers with random weights, without changing torch's global random state.

    Parameters
    ----------
    name : str
        Name on the hub, or a folder with a ``config.json``.
    seed : int
        Seed of the random weights.
    **options
        ``num_classes``; ``config``, the hash of the configuration, which is not used.

    Raises
    ------
    ModelError
        When the configuration cannot be read, or is not that of a vision model.
    """
    options.pop("config", None)
    with _hub(name):
        config, loader = _vision_config(name)
        if "num_classes" in options:
            config.num_labels = options["num_classes"]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = cast(torch.nn.Module, loader.from_config(config, trust_remote_code=False))
    _check_takes_images(name, module)
    return module


def hub_pretrained(name: str) -> tuple[torch.nn.Module, tuple[str, ...]]:
    """Load a vision model of transformers with its weights, from the hub or from a folder.

    Weights are read from safetensors, or from a torch file that holds tensors alone; no code in the repository runs.

    Parameters
    ----------
    name : str
        Name on the hub, or a folder that ``save_pretrained`` has written.

    Returns
    -------
    torch.nn.Module
    tuple of str
        Notes on parameters that the files do not have.

    Raises
    ------
    ModelError
        When the model cannot be downloaded or read, or when its files lack weights.
    """
    with _hub(name):
        config, loader = _vision_config(name)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            module, info = loader.from_pretrained(
                _local(name), config=config, trust_remote_code=False, weights_only=True, output_loading_info=True,
                dtype=torch.float32,
            )  # fmt: skip
    _check_takes_images(name, module)
    missing = sorted(info["missing_keys"])
    needed = [key for key in missing if not any(f".{part}" in f".{key}" for part in UNUSED)]
    if needed or info.get("mismatched_keys"):
        names = [*needed, *(str(key) for key in info.get("mismatched_keys") or ())]
        raise ModelError(
            f"The files of hf:{name} lack {len(names)} parameters of the model ({', '.join(names[:4])}).",
            "Give a repository with all weights of the model.",
        )
    if any(f".{part}" in f".{key}" for part in CLASSIFIERS for key in missing):
        module.num_classes = 0  # its logits are random: no classifier, as timm says it
    notes = (f"not in the files, and random: {', '.join(missing)}",) if missing else ()
    return module, notes


def hub_spec(name: str, module: torch.nn.Module) -> ModelSpec:
    """Describe a model of transformers with the preprocessing of its repository, and with committed layers.

    Parameters
    ----------
    name : str
        As for ``--model``, with ``hf:``.
    module : torch.nn.Module
        In eval mode.
    """
    reference = name.removeprefix(PREFIX)
    preprocessing = hub_preprocessing(reference, cast(Any, module).config)
    size = preprocessing["size"]
    if input_channels(module, size) == 1:
        preprocessing |= grey_preprocessing(preprocessing["mean"], preprocessing["std"])
    is_local = is_local_hub_model(reference)
    configuration = cast(Any, module).config.to_dict()
    computed = {key: value for key, value in configuration.items() if key not in NOT_COMPUTED and key[0] != "_"}
    return ModelSpec(
        identifier=name,
        architecture=name,
        weights=None if is_local else HostedWeights(reference, "not stated", f"https://huggingface.co/{reference}"),
        **preprocessing,
        layers=committed_layers(module, size),
        readout=readout_layer(module, size),
        visual_degrees=8,
        top1=None,
        top1_source=None,
        citation="",
        options={"config": hashlib.sha256(repr(sorted(computed.items())).encode()).hexdigest()[:12]},
        parameters=sum(parameter.numel() for parameter in module.parameters()),
    )


def hub_preprocessing(name: str, config: Any) -> dict[str, Any]:
    """Read the preprocessing of a repository, with the keys of a ModelSpec.

    Parameters
    ----------
    name : str
        Name on the hub, or a folder.
    config : object
        Configuration of the model, whose ``image_size`` is used if the repository describes no preprocessing.

    Returns
    -------
    dict

    Raises
    ------
    ModelError
        When neither the preprocessing nor the size of images can be read.
    """
    from transformers import AutoImageProcessor

    side = getattr(config, "image_size", None)
    side = side[0] if isinstance(side, list | tuple) else side
    try:
        with _hub(name):
            processor = cast(Any, AutoImageProcessor).from_pretrained(_local(name), trust_remote_code=False)
    except ModelError as error:
        if side is None:
            raise ModelError(
                f"hf:{name} does not describe the preprocessing of its images.", "Add a preprocessor_config.json."
            ) from error
        return {"size": int(side), **DEFAULTS}
    return read_processor(processor.to_dict(), side)


def read_processor(settings: Mapping[str, Any], side: int | None = None) -> dict[str, Any]:
    """Convert the settings of an image processor of transformers to the keys of a ModelSpec.

    Parameters
    ----------
    settings : mapping
        As in ``preprocessor_config.json``.
    side : int, optional
        Height and width of the input, if the settings do not state it.

    Raises
    ------
    ModelError
        When no size is stated, or the input is not square.

    Examples
    --------
    >>> from brainscore_itmaps.models.hub_models import read_processor
    >>> settings = {"do_resize": True, "size": {"shortest_edge": 256}, "do_center_crop": True, "do_normalize": True,
    ...     "crop_size": {"height": 224, "width": 224}, "image_mean": [0.5] * 3, "image_std": [0.25] * 3, "resample": 3}
    >>> read_processor(settings)["size"], read_processor(settings)["crop"], read_processor(settings)["interpolation"]
    (224, 0.875, 'bicubic')
    """
    resized, crop_pct = _sides(settings.get("size")), settings.get("crop_pct")
    cropped = _sides(settings.get("crop_size")) if settings.get("do_center_crop") else None
    sides = cropped or resized or (side, side)
    if sides[0] is None or sides[0] != sides[1]:
        raise ModelError(f"The input of the model is {sides}, not square.", "Choose a model with square images.")
    if cropped and resized:
        crop = min(1.0, sides[0] / resized[0])
    else:
        crop = float(crop_pct) if crop_pct and sides[0] < 384 else 1.0  # transformers crops no larger images
    rescale = float(settings.get("rescale_factor", 1 / 255)) if settings.get("do_rescale", True) else 1.0
    scale = 255 * rescale  # of values in [0, 1]
    offset = 1.0 if settings.get("rescale_offset") else 0.0
    has_mean = settings.get("do_normalize", True)
    mean = settings.get("image_mean") or (0.5,) * 3 if has_mean else (0.0,) * 3
    std = settings.get("image_std") or (0.5,) * 3 if has_mean else (1.0,) * 3
    mean, std = ([value] * 3 if isinstance(value, int | float) else value for value in (mean, std))
    resample = settings.get("resample")
    return {
        "size": int(sides[0]),
        "mean": tuple((value + offset) / scale for value in mean),
        "std": tuple(value / scale for value in std),
        "interpolation": Image.Resampling(2 if resample is None else int(resample)).name.lower(),
        "crop": crop,
    }


def _sides(size: Any) -> tuple[int, int] | None:
    """Return height and width of a size in the settings of an image processor."""
    if isinstance(size, int):
        return size, size
    if isinstance(size, Mapping) and "height" in size and "width" in size:
        return size["height"], size["width"]
    edge = size.get("shortest_edge") if isinstance(size, Mapping) else None
    return (edge, edge) if edge else None


def _vision_config(name: str) -> tuple[Any, Any]:
    """Read the configuration of a model, or of the part that sees of a model of images and text, and its loader."""
    from transformers import AutoConfig, AutoModel, AutoModelForImageClassification

    config = AutoConfig.from_pretrained(_local(name), trust_remote_code=False)
    is_classifier = any(str(kind).endswith(CLASSIFIER) for kind in config.architectures or ())
    vision = getattr(config, "vision_config", None)
    if vision is not None and not is_classifier:
        return vision, AutoModel
    return config, AutoModelForImageClassification if is_classifier else AutoModel


def _check_takes_images(name: str, module: torch.nn.Module) -> None:
    if getattr(module, "main_input_name", KEYWORD) != KEYWORD:
        raise ModelError(f"hf:{name} is a {type(module).__name__}, which takes no images.", "Choose a vision model.")


def _local(name: str) -> str:
    return str(expanded(name)) if is_local_hub_model(name) else name


@contextmanager
def _hub(name: str) -> Iterator[None]:
    """Load something of a repository: quietly, offline if that is set, with errors as ModelError."""
    loggers = [logging.getLogger(package) for package in ("transformers", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    try:
        from transformers.utils import logging as bars

        bars.disable_progress_bar()
        with hub_offline_mode():
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
    except ItMapsError:
        raise
    except Exception as error:  # transformers and the hub raise errors of many types
        check_cached(f"hf:{name}", "the cache of Hugging Face", error)
        fix = (
            "Give a folder that save_pretrained has written, of a vision model."
            if is_local_hub_model(name)
            else "Connect to the internet once, after which the hub caches the files; or give a folder: hf:./folder."
        )
        raise ModelError(f"hf:{name} cannot be loaded: {one_line(error)}.", fix) from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
