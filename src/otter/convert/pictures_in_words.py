"""How an image processor prepares pictures, in one line; and how large they are then."""

from typing import Any

from PIL.Image import Resampling


def preparation(image_processor: Any) -> str:
    """The steps, such as ``shortest edge to 224 (bicubic), middle 224 x 224, mean 0.5, std 0.5``.

    Args:
        image_processor: any Hugging Face image processor.
    """
    fields: dict[str, Any] = image_processor.to_dict()
    steps = []
    if fields.get("do_resize"):
        resample = fields.get("resample")
        how = "" if resample is None else f" ({Resampling(int(resample)).name.lower()})"
        steps.append(f"{_size(fields.get('size') or {})}{how}")
    if fields.get("do_center_crop"):
        crop = fields.get("crop_size") or {}
        steps.append(f"middle {crop.get('width')} x {crop.get('height')}")
    if fields.get("do_rescale") is False:
        steps.append("values 0 to 255")
    if fields.get("do_normalize"):
        steps.append(f"mean {_channels(fields.get('image_mean'))}")
        steps.append(f"std {_channels(fields.get('image_std'))}")
    return ", ".join(steps) or "as they are"


def prepared_size(image_processor: Any) -> tuple[int, int] | None:
    """Height and width of every picture afterwards; None where they differ or cannot be told."""
    fields: dict[str, Any] = image_processor.to_dict()
    last = fields.get("crop_size" if fields.get("do_center_crop") else "size") or {}
    if not (last.get("height") and last.get("width")):
        return None
    return int(last["height"]), int(last["width"])


def _size(size: dict[str, Any]) -> str:
    if edge := size.get("shortest_edge"):
        return f"shortest edge to {edge}"
    if size.get("height") and size.get("width"):
        return f"resized to {size['width']} x {size['height']}"
    return f"resized to {size}"


def _channels(values: Any) -> str:
    numbers = values if isinstance(values, list | tuple) else [values]
    shown = [f"{number:.6g}" for number in numbers]
    return shown[0] if len(set(shown)) == 1 else "/".join(shown)
