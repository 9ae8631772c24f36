"""Pictures are read as they are meant to be seen, and bad files are refused by name."""

import io
import time

import numpy as np
import pytest
from PIL import Image

from fer_core import images
from fer_core.errors import ImageError
from fer_core.images import decode, encode_png, resize, to_grey
from tests.bad_files import bad_files, gradient, odd_files, png_header, write_files

BAD, ODD = bad_files(), odd_files()


def encoded(picture: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    picture.save(out, format=kind, **options)
    return out.getvalue()


@pytest.mark.parametrize("name", BAD)
def test_bad_file_is_refused_by_name_with_a_remedy(name):
    content, words = BAD[name]
    started = time.perf_counter()
    with pytest.raises(ImageError) as caught:
        decode(content, name=name)
    assert time.perf_counter() - started < 2.0  # a header is refused before memory is asked for
    assert name in caught.value.problem
    assert words in str(caught.value)
    assert caught.value.remedy


def test_there_are_twenty_bad_files_and_paths_give_the_same_refusals(tmp_path):
    paths = write_files(tmp_path)
    assert len(paths) >= 20
    for path in paths:
        with pytest.raises(ImageError, match=path.name):
            decode(path)


@pytest.mark.parametrize("name", ODD)
def test_odd_file_is_read(name):
    picture = decode(ODD[name], name=name)
    assert picture.shape == (96, 128, 3)
    assert picture.dtype == np.uint8
    if name == "bitmap.png":
        assert set(np.unique(picture)) == {0, 255}
        return
    grey_only = "grey" in name or name in ("integers.tif", "floats.tif")
    expected = np.asarray(Image.fromarray(gradient()).convert("L")) if grey_only else gradient()
    expected = np.repeat(expected[:, :, None], 3, axis=2) if grey_only else expected
    lossy = {"animated.gif": 40, "palette.png": 24, "cmyk.jpg": 12, "grey.jpg": 6, "progressive.jpg": 12}
    assert np.abs(picture.astype(int) - expected).max() <= lossy.get(name, 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    upright = gradient(40, 60)
    # What a camera stores for each orientation (EXIF 2.3, tag 0x0112), undone by the reader.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(np.ascontiguousarray(stored)), "PNG", exif=exif)
    np.testing.assert_array_equal(decode(content), upright)


def test_grey_picture_survives_bit_by_bit():
    grey = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    np.testing.assert_array_equal(to_grey(decode(encode_png(grey))), grey)
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(to_grey(np.repeat(ramp[:, :, None], 3, axis=2)), ramp)


def test_alpha_is_laid_over_white():
    picture = Image.new("RGBA", (3, 1))
    picture.putdata([(0, 0, 0, 0), (200, 100, 0, 255), (0, 0, 0, 128)])
    np.testing.assert_array_equal(decode(encoded(picture, "PNG"))[0], [[255] * 3, [200, 100, 0], [127] * 3])


def test_transparent_palette_is_laid_over_white():
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.putdata([0, 1])
    content = encoded(picture, "PNG", transparency=0)
    np.testing.assert_array_equal(decode(content)[0], [[255] * 3, [200, 100, 50]])


def test_sixteen_bit_grey_is_scaled_and_rounded():
    values = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    assert decode(encoded(Image.fromarray(values), "PNG"))[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]


def test_integers_beyond_sixteen_bits_and_floats_are_scaled_by_their_own_range():
    integers = Image.fromarray(np.array([[-100_000, 0, 100_000]], np.int32))
    assert decode(encoded(integers, "TIFF"))[0, :, 0].tolist() == [0, 128, 255]
    floats = Image.fromarray(np.array([[0.0, 0.5, 1.0, np.nan]], np.float32))
    assert decode(encoded(floats, "TIFF"))[0, :, 0].tolist() == [0, 128, 255, 0]


def test_cmyk_is_not_inverted():
    red = decode(encoded(Image.new("CMYK", (32, 32), (0, 255, 255, 0)), "JPEG", quality=95))
    assert np.abs(red.reshape(-1, 3).mean(axis=0) - [255, 0, 0]).max() < 6


def test_size_is_held_against_the_limit_before_decoding(monkeypatch):
    content = encode_png(gradient(30, 40))
    monkeypatch.setattr(images, "MAX_PIXELS", 1199)
    with pytest.raises(ImageError, match="40 x 30"):
        decode(content)
    monkeypatch.setattr(images, "MAX_PIXELS", 1200)
    assert decode(content).shape == (30, 40, 3)


def test_a_file_larger_than_the_limit_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(images, "MAX_BYTES", 1000)
    path = tmp_path / "large.png"
    path.write_bytes(png_header(4, 4) + bytes(2000))
    for source in (path, path.read_bytes(), io.BytesIO(path.read_bytes())):
        with pytest.raises(ImageError, match="larger than"):
            decode(source)


def test_paths_that_are_no_files(tmp_path):
    with pytest.raises(ImageError, match="folder"):
        decode(tmp_path)
    with pytest.raises(ImageError, match="does not exist"):
        decode(tmp_path / "missing.png")
    with pytest.raises(ImageError, match="cannot be read"):
        decode("a\0b.png")


def test_file_object_is_read_from_its_beginning_each_time():
    upload = io.BytesIO(encode_png(gradient()))
    upload.name = "face.png"
    np.testing.assert_array_equal(decode(upload), decode(upload))
    empty = io.BytesIO()
    empty.name = "face.png"
    with pytest.raises(ImageError, match=r"face\.png is empty"):
        decode(empty)


def test_broken_exif_does_not_cost_the_picture():
    content = encoded(Image.fromarray(gradient()), "JPEG", exif=b"Exif\0\0" + b"\xff" * 40)
    assert decode(content).shape == (96, 128, 3)


def test_resize_by_area_and_bilinear():
    checker = np.array([[0, 100], [100, 200]], np.uint8)
    assert resize(checker, (1, 1)).tolist() == [[100]]
    large = resize(gradient(), (192, 256))
    assert large.shape == (192, 256, 3)
    assert np.abs(resize(large, (96, 128)).astype(int) - gradient()).max() <= 2
    assert resize(checker, (2, 2)) is checker
    with pytest.raises(ImageError):
        resize(checker, (0, 4))
    with pytest.raises(ImageError, match="uint8"):
        resize(checker.astype(float), (4, 4))
