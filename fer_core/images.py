"""Picture files to uint8 arrays: EXIF rotation, alpha, 16 bit, and limits on what is decoded.

The type of a file is told by its first bytes, never by its name, and its decoded size is known from the header and
checked before a pixel is decoded. Whatever is wrong with a file becomes an ``ImageError`` that names the file.
"""

import codecs
import io
import os
import re
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from fer_core.errors import ImageError

MAX_PIXELS = 2**26  # 8192 x 8192; a 50-megapixel phone picture passes, decoding takes some 600 MB at most
MAX_BYTES = 200 * 2**20
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".pgm", ".ppm")
READABLE = "JPEG, PNG, WebP, BMP, TIFF or GIF"

# What Pillow and its codecs raise on damaged files, apart from OSError.
_DAMAGE = (OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, EOFError, AttributeError)
_DAMAGE += (OverflowError, ZeroDivisionError, MemoryError, struct.error, zlib.error)

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8", "the damaged beginning of a JPEG file"),
    (b"\x89PNG", "a PNG file with a damaged header"),
    (b"GIF8", "a GIF file with a damaged header"),
    (b"BM", "a BMP file with a damaged header"),
    (b"RIFF", "a damaged WebP file, a sound or a video"),
    (b"II*\x00", "a TIFF file with a damaged header"),
    (b"MM\x00*", "a TIFF file with a damaged header"),
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%PDF", "a PDF document"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x1aE\xdf\xa3", "a video"),
)


def decode(source: bytes | str | os.PathLike | BinaryIO, *, name: str = "") -> np.ndarray:
    """Read a picture as uint8 (H, W, 3) in RGB order, the way it is meant to be looked at.

    EXIF rotation is applied, alpha is laid over white, palettes and CMYK become RGB, 16-bit grey 0..65535 is scaled
    to 0..255 (rounded), other integer and float pictures by their own range. Of animations and multi-page files the
    first picture is read. An 8-bit grey picture comes back with its own values in all three channels.

    Args:
        source: the file's bytes, its path, or a binary file object (read from its beginning).
        name: how errors call the file; by default its path or the file object's ``name``.

    Raises:
        ImageError: missing, empty, truncated, too large (``MAX_BYTES``, ``MAX_PIXELS``) or no picture.
    """
    name = name or _name_of(source)
    content = _read(source, name)
    picture = _open(content, name)
    try:
        picture.load()
        return _to_rgb_array(_upright(picture))
    except _DAMAGE as error:
        raise ImageError(
            f"{name} cannot be decoded: {_reason(error)}.",
            "The file is damaged or incomplete; copy or download it again, or save it anew as PNG or JPEG.",
        ) from error


def to_grey(image: np.ndarray) -> np.ndarray:
    """ITU-R BT.601 luma, uint8 (H, W), of uint8 (H, W), (H, W, 1) or (H, W, 3) RGB.

    Exact where the channels are equal, so that a grey picture survives the way through RGB bit by bit.
    """
    _check(image)
    if image.ndim == 2:
        return image
    if image.shape[2] == 1:
        return image[:, :, 0]
    return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize uint8 (H, W) or (H, W, 3) to ``size`` = (height, width): by area when it shrinks, else bilinear."""
    _check(image)
    height, width = size
    if height < 1 or width < 1:
        raise ImageError(f"Cannot resize a picture to {height} x {width}.", "Both sides must be at least 1.")
    if image.shape[:2] == (height, width):
        return image
    shrinks = height * width < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=method)


def encode_png(image: np.ndarray) -> bytes:
    """PNG file of uint8 (H, W) or (H, W, 3) RGB."""
    _check(image)
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(out, format="PNG")
    return out.getvalue()


def _check(image: np.ndarray) -> None:
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3)):
        raise ImageError(f"Expected a uint8 picture (H, W) or (H, W, 3). Received {image.dtype} {image.shape}.")


def _name_of(source: object) -> str:
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    return str(getattr(source, "name", "") or "The picture")


def _read(source: bytes | str | os.PathLike | BinaryIO, name: str) -> bytes:
    too_large = ImageError(
        f"{name} is larger than {MAX_BYTES // 2**20} MB.", "Save a smaller copy of the picture and use that."
    )
    if isinstance(source, (bytes, bytearray, memoryview)):
        content = bytes(source)
    elif isinstance(source, (str, os.PathLike)):
        path = Path(source)
        try:
            if path.is_dir():
                raise ImageError(f"{name} is a folder, not a picture.", "Name a picture file in it.")
            if path.exists() and not path.is_file():
                raise ImageError(f"{name} is not a regular file.", f"Name a {READABLE} file.")
            if path.stat().st_size > MAX_BYTES:
                raise too_large
            content = path.read_bytes()
        except FileNotFoundError:
            raise ImageError(f"{name} does not exist.", "Check the path and the spelling.") from None
        except (OSError, ValueError) as error:  # no permission, a name with a NUL byte
            raise ImageError(
                f"{name} cannot be read: {_reason(error)}.", "Check the path and its permissions."
            ) from error
    else:
        if source.seekable():  # an upload is read again at every rerun of a page
            source.seek(0)
        content = source.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise too_large
    if not content:
        raise ImageError(f"{name} is empty (0 bytes).", "Copy or download it again.")
    return content


def _open(content: bytes, name: str) -> Image.Image:
    """Read the header alone and hold its size against ``MAX_PIXELS``."""
    try:
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        raise ImageError(
            f"{name} cannot be read as a picture: it {_looks_like(content)}.", f"Use a {READABLE} file."
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:  # Pillow's own, looser limit
        pixels = re.search(r"\d+", str(error))
        raise _too_many_pixels(name, f"{int(pixels[0]):,} pixels" if pixels else "too many pixels") from None
    except _DAMAGE as error:
        raise ImageError(
            f"{name} has a damaged header: {_reason(error)}.", "Copy or download it again, or save it anew as PNG."
        ) from error
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise _too_many_pixels(name, f"{width} x {height} pixels")
    if width < 1 or height < 1:
        raise ImageError(f"{name} has no pixels ({width} x {height}).", "Save it anew from its source.")
    return picture


def _too_many_pixels(name: str, what: str) -> ImageError:
    limit = MAX_PIXELS // 10**6
    return ImageError(
        f"{name} has {what}; FERscope reads at most {limit} megapixels.", "Scale the picture down and use the copy."
    )


def _looks_like(content: bytes) -> str:
    for signature, kind in _SIGNATURES:
        if content.startswith(signature):
            return f"is {kind}"
    if content[4:8] == b"ftyp":
        heif = content[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc")
        return "is a HEIC file (save it as JPEG)" if heif else "is a video or AVIF file"
    head = content[:2048]
    if b"<svg" in head:
        return "is an SVG drawing, which has no pixels (export it as PNG)"
    if b"<html" in head.lower():
        return "is a web page"
    if _is_text(head):
        return "is a text file"
    return "does not start like any picture file"


def _is_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # the head may end inside a character
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character.isspace() for character in text)


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except _DAMAGE:  # broken EXIF data: the pixels are still good
        return picture


def _to_rgb_array(picture: Image.Image) -> np.ndarray:
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        grey = _scale_to_uint8(np.asarray(picture))
        return np.repeat(grey[:, :, None], 3, axis=2)
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture)
    return np.array(picture.convert("RGB"), dtype=np.uint8)


def _scale_to_uint8(values: np.ndarray) -> np.ndarray:
    """Integers 0..65535 as 16-bit grey, floats 0..1 as shares of white; other values by their own range."""
    full = 1.0 if values.dtype.kind == "f" else 65535.0
    values = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > full:
        span = (high - low) or 1.0
        return np.rint((values - low) * (255.0 / span)).astype(np.uint8)
    return np.rint(values * (255.0 / full)).astype(np.uint8)


def _reason(error: BaseException) -> str:
    text = str(error).strip().rstrip(".") or type(error).__name__
    return text.splitlines()[0][:200]
