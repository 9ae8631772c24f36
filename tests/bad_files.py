"""Pictures that are broken, and pictures that are only odd: for the tests of library, command line and pages."""

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def _encode(picture: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    picture.save(out, format=kind, **options)
    return out.getvalue()


def gradient(height: int = 96, width: int = 128) -> np.ndarray:
    """A smooth RGB picture, uint8 (height, width, 3): red grows to the right, green downwards, blue is 64."""
    picture = np.full((height, width, 3), 64, np.uint8)
    picture[:, :, 0] = np.linspace(0, 255, width)[None, :]
    picture[:, :, 1] = np.linspace(0, 255, height)[:, None]
    return picture


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims ``width`` x ``height`` pixels in 8-bit RGB and holds almost none."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def _zip(names: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return out.getvalue()


def bad_files() -> dict[str, tuple[bytes, str]]:
    """File name -> (content, words that the message about it must hold)."""
    picture = Image.fromarray(gradient())
    jpeg, png = _encode(picture, "JPEG"), _encode(picture, "PNG")
    webp, gif = _encode(picture, "WEBP"), _encode(picture, "GIF")
    noise = np.random.default_rng(0).integers(0, 256, 4000, dtype=np.uint8).tobytes()
    flipped = bytearray(png)
    flipped[len(png) // 2] ^= 0xFF
    return {
        "truncated.jpg": (jpeg[: len(jpeg) // 2], "damaged or incomplete"),
        "header_only.jpg": (jpeg[:20], "JPEG"),
        "truncated.png": (png[: len(png) // 2], "damaged or incomplete"),
        "flipped_bit.png": (bytes(flipped), "damaged or incomplete"),
        "truncated.webp": (webp[: len(webp) // 2], ""),
        "truncated.gif": (gif[: len(gif) // 2], "damaged or incomplete"),
        "text.png": (b"This is no picture at all.\n" * 20, "text file"),
        "utf8.png": ("Кошка сидит на окне — и смотрит.\n".encode() * 100, "text file"),
        "empty.jpg": (b"", "empty"),
        "one_byte.png": (b"\x89", "cannot be read as a picture"),
        "huge_header.png": (png_header(30_000, 30_000), "megapixels"),
        "large_header.png": (png_header(10_000, 8_000), "10000 x 8000"),
        "no_pixels.png": (png_header(0, 40), ""),
        "noise.bmp": (noise, "cannot be read as a picture"),
        "archive.png": (_zip({"a.jpg": jpeg}), "zip archive"),
        "zip_of_zips.zip": (_zip({"b.zip": _zip({"a.jpg": jpeg})}), "zip archive"),
        "drawing.svg": (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        "page.jpg": (b"<!doctype html><html><body>404</body></html>", "web page"),
        "document.jpeg": (b"%PDF-1.7\n" + noise, "PDF"),
        "phone.heic": (b"\0\0\0\x18ftypheic" + noise, "HEIC"),
    }


def odd_files() -> dict[str, bytes]:
    """File name -> content of unusual pictures that must be read; each shows :func:`gradient`, some of them in grey."""
    rgb = Image.fromarray(gradient())
    grey = rgb.convert("L")
    wide = np.asarray(grey).astype(np.uint16) * 257
    frames = [rgb, Image.new("RGB", rgb.size, "red"), Image.new("RGB", rgb.size, "blue")]
    rgba = rgb.convert("RGBA")
    return {
        "animated.gif": _encode(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50),
        "animated.webp": _encode(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True),
        "pages.tif": _encode(frames[0], "TIFF", save_all=True, append_images=frames[1:]),
        "cmyk.jpg": _encode(rgb.convert("CMYK"), "JPEG", quality=95),
        "grey16.png": _encode(Image.fromarray(wide), "PNG"),
        "grey16.tif": _encode(Image.fromarray(wide), "TIFF"),
        "integers.tif": _encode(Image.fromarray(wide.astype(np.int32)), "TIFF"),
        "floats.tif": _encode(Image.fromarray((wide / 65535).astype(np.float32)), "TIFF"),
        "palette.png": _encode(rgb.quantize(256), "PNG"),
        "alpha.png": _encode(rgba, "PNG"),
        "bitmap.png": _encode(grey.convert("1"), "PNG"),
        "grey.jpg": _encode(grey, "JPEG", quality=95),
        "png_named.jpg": _encode(rgb, "PNG"),
        "progressive.jpg": _encode(rgb, "JPEG", quality=95, progressive=True),
        "plain.bmp": _encode(rgb, "BMP"),
        "no_suffix": _encode(rgb, "WEBP", lossless=True),
    }


def write_files(folder: Path) -> list[Path]:
    """Write :func:`bad_files` into ``folder`` and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, (content, _) in bad_files().items():
        path = folder / name
        path.write_bytes(content)
        paths.append(path)
    return paths
