"""Draw a face from action units and a look, with OpenCV.

Everything is drawn upright in face units (x to the viewer's right, y down; the head reaches from -1 to 1 in y), several
times larger than needed; then the head is turned, framed and shrunk by area, which smooths every edge.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

REACH = 1.4  # the canvas shows -REACH to REACH
_SHIFT = 4  # sub-pixel bits of cv2's fixed point
_CURVE = np.linspace(-1, 1, 17)
_LAGRANGE = np.stack([_CURVE * (_CURVE - 1) / 2, 1 - _CURVE**2, _CURVE * (_CURVE + 1) / 2], axis=1)
_CIRCLE = np.array([[np.cos(angle), np.sin(angle)] for angle in np.linspace(0, 2 * np.pi, 32, endpoint=False)])

Units = Mapping[str, float]


@dataclass(frozen=True)
class Look:
    """Who is drawn, how the head is held, and in what light.

    Attributes:
        skin, hair, background: grey values 0..255.
        style: short, long, fringe or bald.
        width, jaw: half width of the head, and how much it narrows downwards (0..1).
        eye_size, eye_gap, brow_weight, nose_length, mouth_width, lips: factors around 1.
        glasses, beard, age: beard and age 0..1.
        yaw, pitch: turn to the viewer's right and down, in sines; roll in degrees.
        scale, shift: size of the head in the frame around 1, and its place in face units.
        light: direction (x, y) the light comes from; contrast: how much stronger than the surroundings, 0..1.
        gaze: (x, y) of the irises, -1..1.
        blur, noise: sigma in pixels of the finished picture, and standard deviation in grey values.
        seed: of the noise.
    """

    skin: float = 185
    hair: float = 55
    background: float = 110
    style: str = "short"
    width: float = 0.7
    jaw: float = 0.35
    eye_size: float = 1
    eye_gap: float = 1
    brow_weight: float = 1
    nose_length: float = 1
    mouth_width: float = 1
    lips: float = 1
    glasses: bool = False
    beard: float = 0
    age: float = 0.3
    yaw: float = 0
    pitch: float = 0
    roll: float = 0
    scale: float = 1
    shift: tuple[float, float] = (0, 0)
    light: tuple[float, float] = (-0.3, -0.5)
    contrast: float = 0.5
    gaze: tuple[float, float] = (0, 0)
    blur: float = 0
    noise: float = 0
    seed: int = 0


def draw(units: Units, look: Look, size: int) -> np.ndarray:
    """A grey face, uint8 (size, size).

    Args:
        units: strength 0..1 by action unit (``"AU12"``); those left out are at rest.
        look: everything but the expression.
        size: side in pixels.
    """
    canvas = _Canvas(look, side=max(192, 2 * size))
    au = {f"AU{number}": 0.0 for number in range(1, 29)} | dict(units)
    _head(canvas, look, au)
    _skin_folds(canvas, look, au)
    _nose(canvas, look, au)
    _mouth(canvas, look, au)
    for side in (-1, 1):
        _eye(canvas, look, au, side)
    for side in (-1, 1):
        _brow(canvas, look, au, side)
    _front_hair(canvas, look)
    if look.glasses:
        _glasses(canvas, look)
    return _frame(canvas.finish(), look, size)


class _Canvas:
    """Flat shapes in ``flat``; soft shadows and highlights, blurred before they are laid over, in two layers."""

    def __init__(self, look: Look, side: int) -> None:
        self.look, self.side = look, side
        self.unit = side / (2 * REACH)
        self.flat = np.full((side, side), look.background, np.uint8)
        self.dark = np.zeros((side, side), np.uint8)
        self.bright = np.zeros((side, side), np.uint8)
        self.figure = np.zeros((side, side), np.uint8)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Face units (N, 2) to fixed-point pixels; points in front move with yaw and pitch, as on an ellipsoid."""
        moved = np.array(points, np.float64)
        squares = moved * moved
        depth = np.sqrt(np.maximum(0, 1 - squares[:, 0] * (1 / 0.95**2) - squares[:, 1] * (1 / 1.2**2)))
        moved[:, 0] += depth * (0.5 * self.look.yaw) + REACH
        moved[:, 1] += depth * (0.4 * self.look.pitch) + REACH
        moved *= self.unit * 2**_SHIFT
        return np.rint(moved).astype(np.int32)

    def fill(self, points: np.ndarray, value: float, layer: np.ndarray | None = None) -> None:
        target = self.flat if layer is None else layer
        cv2.fillPoly(target, [self.project(points)], _tone(value), cv2.LINE_AA, _SHIFT)

    def body(self, points: np.ndarray, value: float) -> None:
        """Fill a part of the silhouette, which the light falls on."""
        self.fill(points, value)
        self.fill(points, 255, self.figure)

    def line(self, points: np.ndarray, value: float, width: float, layer: np.ndarray | None = None) -> None:
        target = self.flat if layer is None else layer
        thick = max(1, round(width * self.unit))
        cv2.polylines(target, [self.project(points)], False, _tone(value), thick, cv2.LINE_AA, shift=_SHIFT)

    def inside(self, points: np.ndarray) -> np.ndarray:
        """How much of each pixel lies inside a polygon: float32 (side, side), 0..1."""
        mask = np.zeros_like(self.flat)
        cv2.fillPoly(mask, [self.project(points)], 255, cv2.LINE_AA, _SHIFT)
        return mask.astype(np.float32) / 255

    def finish(self) -> np.ndarray:
        """Everything laid over each other and lit: float32 (side, side)."""
        figure = self.figure.astype(np.float32) / 255  # neither light nor wrinkles fall on what is behind the head
        shade = self._light(figure) * (1 - figure * (0.7 / 255) * _soft(self.dark, 0.03 * self.unit))
        return self.flat * shade + figure * (70 / 255) * _soft(self.bright, 0.05 * self.unit)

    def _light(self, figure: np.ndarray) -> np.ndarray:
        """Lambert shading of an ellipsoid: about 1 where it faces the light; even outside of ``figure``."""
        axis = np.linspace(-REACH, REACH, self.side, dtype=np.float32)
        x, y = axis[None, :] / 0.9, axis[:, None] / 1.2
        z = np.sqrt(np.clip(1 - x**2 - y**2, 0.02, 1))
        lx, ly = self.look.light
        lz = np.sqrt(max(0.1, 1 - lx**2 - ly**2))
        facing = np.clip((x * lx + y * ly + z * lz) / np.sqrt(x**2 + y**2 + z**2), 0, 1)
        lit = 1 - self.look.contrast + self.look.contrast * 1.25 * facing
        return 1 - 0.3 * self.look.contrast + figure * (lit - 1 + 0.3 * self.look.contrast)


def _tone(value: float) -> int:
    return int(min(max(value, 0), 255))


def _soft(layer: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(layer, (0, 0), sigma).astype(np.float32)


def _oval(x: float, y: float, rx: float, ry: float) -> np.ndarray:
    return _CIRCLE * (rx, ry) + (x, y)


def _curve(start: tuple[float, float], middle: tuple[float, float], end: tuple[float, float]) -> np.ndarray:
    """Quadratic curve through three points: (17, 2)."""
    return _LAGRANGE @ np.array([start, middle, end], np.float64)


def _outline(look: Look, drop: float = 0, grow: float = 1) -> np.ndarray:
    """The head's outline; ``drop`` lowers the chin."""
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    x, y = np.sin(angle), -np.cos(angle)
    low = np.clip(y, 0, 1)
    x = np.sign(x) * np.abs(x) ** (1 - 0.25 * low)  # jaw and chin are squarer than an ellipse
    x = look.width * x * (1 - 0.42 * look.jaw * low**1.5 - 0.04 * low)
    return np.stack([x * grow, (y * (1 + drop * low)) * (1 + (grow - 1) * (y < 0))], axis=1)


def _head(canvas: _Canvas, look: Look, au: Units) -> None:
    if look.style == "long":
        canvas.body(
            np.concatenate([_oval(0, -0.15, look.width * 1.3, 1.0)[16:], [[1.05, 1.4], [-1.05, 1.4]]]), look.hair
        )
    canvas.body([[-0.42, 0.6], [0.42, 0.6], [0.5, 1.4], [-0.5, 1.4]], look.skin * 0.72)
    canvas.body([[-1.4, 1.3], [-0.5, 1.15], [0.5, 1.15], [1.4, 1.3], [1.4, 1.4], [-1.4, 1.4]], look.hair * 0.5 + 60)
    if look.style != "long":
        for side in (-1, 1):
            canvas.body(_oval(side * look.width * 1.01, 0.02, 0.11, 0.21), look.skin * 0.86)
    canvas.body(_outline(look, drop=0.13 * au["AU26"]), look.skin)
    if look.beard:
        jaw = _outline(look, drop=0.13 * au["AU26"])
        cheek = [[-0.52, 0.22], [-0.4, 0.46], [-0.22, 0.37], [0, 0.4], [0.22, 0.37], [0.4, 0.46], [0.52, 0.22]]
        grown = canvas.inside(np.concatenate([jaw[jaw[:, 1] > 0.1], cheek]))
        grown = cv2.GaussianBlur(grown, (0, 0), 0.05 * canvas.unit) * look.beard
        stubble = 0.5 * look.hair + 0.2 * look.skin
        canvas.flat = (canvas.flat + (stubble - canvas.flat) * grown).astype(np.uint8)


def _skin_folds(canvas: _Canvas, look: Look, au: Units) -> None:
    """Sockets, cheeks, folds beside the nose, wrinkles of forehead, brows and chin."""
    smile, sneer = max(au["AU6"], au["AU12"]), max(au["AU9"], au["AU10"])
    corner = (0.27 * look.mouth_width * (1 + 0.3 * au["AU12"]) + 0.09, 0.5 - 0.1 * au["AU12"])
    for side in (-1, 1):
        canvas.fill(_oval(side * 0.31, -0.17, 0.2, 0.13), 95, canvas.dark)
        canvas.fill(_oval(side * 0.44, 0.2 - 0.08 * smile, 0.17, 0.12), 90 + 130 * au["AU6"], canvas.bright)
        canvas.fill(_oval(side * 0.6 * look.width / 0.7, 0.45, 0.09, 0.25), 38, canvas.dark)
        fold = _curve((side * 0.14, 0.2), (side * 0.3, 0.28 - 0.03 * smile), (side * corner[0], corner[1]))
        depth = 45 * look.age + 150 * max(smile, sneer)
        canvas.line(fold, depth, 0.05, canvas.dark)
        if au["AU6"] > 0.2:  # crow's feet, and the cheek pushed up below the eye
            for lift in (-0.06, 0.0, 0.06):
                canvas.line(
                    [[side * 0.53, -0.12 + lift / 2], [side * 0.63, -0.13 + lift]], 150 * au["AU6"], 0.02, canvas.dark
                )
            canvas.line(
                _curve((side * 0.17, 0.0), (side * 0.33, 0.06), (side * 0.5, -0.02)), 170 * au["AU6"], 0.03, canvas.dark
            )
        else:
            canvas.line(
                _curve((side * 0.19, 0.0), (side * 0.32, 0.05), (side * 0.45, 0.0)),
                60 + 60 * look.age,
                0.03,
                canvas.dark,
            )
    raised = max(0.0, 0.5 * au["AU1"] + 0.5 * au["AU2"])
    for row in (-0.56, -0.64, -0.72):
        bend = -0.04 if au["AU2"] >= au["AU1"] - 0.2 else 0.05
        wide = 0.42 if au["AU2"] > 0.3 else 0.2
        canvas.line(
            _curve((-wide, row - bend / 2), (0, row + bend / 2), (wide, row - bend / 2)),
            25 * look.age + 170 * raised,
            0.025,
            canvas.dark,
        )
    if au["AU4"] > 0.15:
        for side in (-1, 1):
            canvas.line([[side * 0.045, -0.44], [side * 0.055, -0.25]], 230 * au["AU4"], 0.035, canvas.dark)
    canvas.fill(_oval(0, -0.7, 0.4, 0.16), 70, canvas.bright)
    if au["AU17"] > 0.15:
        for x in (-0.07, 0, 0.07):
            canvas.fill(_oval(x, 0.79, 0.03, 0.035), 190 * au["AU17"], canvas.dark)
    canvas.fill(_oval(0, 0.84, 0.14, 0.08), 80, canvas.bright)


def _nose(canvas: _Canvas, look: Look, au: Units) -> None:
    wrinkle = au["AU9"]
    tip = 0.24 * look.nose_length - 0.05 * wrinkle
    wide = 0.115 * (1 + 0.25 * wrinkle + 0.12 * au["AU12"])
    shadow = 1 if look.light[0] <= 0 else -1
    canvas.line(
        _curve((shadow * 0.07, -0.22), (shadow * 0.06, 0.0), (shadow * wide, tip - 0.04)), 130, 0.05, canvas.dark
    )
    canvas.line([[-shadow * 0.01, -0.2], [-shadow * 0.01, tip - 0.03]], 120, 0.06, canvas.bright)
    canvas.fill(_oval(0, tip - 0.02, 0.05, 0.045), 140, canvas.bright)
    canvas.line(_curve((-wide, tip + 0.02), (0, tip + 0.1), (wide, tip + 0.02)), 150, 0.05, canvas.dark)
    for side in (-1, 1):
        canvas.line(
            _curve(
                (side * (wide - 0.02), tip - 0.07),
                (side * (wide + 0.025), tip - 0.005),
                (side * (wide - 0.03), tip + 0.05),
            ),
            look.skin * 0.55,
            0.018,
        )
        canvas.fill(
            _oval(side * 0.058 * (1 + 0.3 * wrinkle), tip + 0.045, 0.03 * (1 + 0.3 * wrinkle), 0.017), look.skin * 0.25
        )
        if wrinkle > 0.15:
            for row in (-0.13, -0.06, 0.01):
                canvas.line(
                    _curve((side * 0.02, row), (side * 0.07, row - 0.02), (side * 0.12, row + 0.04)),
                    255 * wrinkle,
                    0.03,
                    canvas.dark,
                )


def _eye(canvas: _Canvas, look: Look, au: Units, side: int) -> None:
    x0, y0 = side * 0.32 * look.eye_gap, -0.14
    half = 0.165 * look.eye_size
    squint = max(0.75 * au["AU6"], 0.65 * au["AU7"])
    upper = 0.088 * look.eye_size * (1 + 0.75 * au["AU5"] - 0.4 * squint)
    lower = 0.055 * look.eye_size * (1 + 0.25 * au["AU5"] - 0.85 * squint)
    sad = au["AU1"] * (1 - au["AU2"])  # the outer part of the lid hangs
    x = x0 + half * _CURVE
    tilt = side * _CURVE  # -1 at the nose, 1 outside
    lid = (
        y0
        - upper * (1 - np.abs(_CURVE) ** 2.2)
        + 0.035 * sad * (tilt + 1) / 2
        - 0.025 * sad * (1 - tilt) / 2 * (1 - _CURVE**2)
    )
    floor = y0 + lower * (1 - _CURVE**2) + 0.035 * sad * (tilt + 1) / 2
    opening = np.concatenate([np.stack([x, lid], 1), np.stack([x, floor], 1)[::-1]])
    ball = canvas.flat.copy()
    flat, canvas.flat = canvas.flat, ball
    canvas.fill(opening, min(250, 0.35 * look.skin + 175))
    gaze = (x0 + 0.06 * look.gaze[0], y0 - 0.012 + 0.03 * look.gaze[1])
    canvas.fill(_oval(*gaze, 0.082 * look.eye_size, 0.082 * look.eye_size), 78)
    canvas.fill(_oval(*gaze, 0.066 * look.eye_size, 0.066 * look.eye_size), 105)
    canvas.fill(_oval(*gaze, 0.038 * look.eye_size, 0.038 * look.eye_size), 12)
    canvas.fill(_oval(gaze[0] - 0.03, gaze[1] - 0.03, 0.017, 0.017), 250)
    shadow = np.stack([np.concatenate([x, x[::-1]]), np.concatenate([lid - 0.02, lid[::-1] + 0.022])], 1)
    canvas.fill(shadow, 70)
    inside = canvas.inside(opening)
    canvas.flat = (flat * (1 - inside) + ball * inside).astype(np.uint8)
    canvas.line(np.stack([x, lid], 1), look.skin * 0.17, 0.032)
    canvas.line(np.stack([x, floor], 1), look.skin * 0.6, 0.014)
    crease = np.stack([x0 + 1.08 * half * _CURVE, lid - 0.045 + 0.02 * au["AU5"]], 1)
    canvas.line(crease, 190, 0.02, canvas.dark)


def _brow(canvas: _Canvas, look: Look, au: Units, side: int) -> None:
    inner, outer = au["AU1"], au["AU2"]
    frown = au["AU4"]
    base = -0.36
    lift = {
        "in": -0.15 * inner + 0.13 * frown * (1 - 0.75 * inner),
        "mid": -0.07 * inner - 0.13 * outer + 0.07 * frown * (1 - 0.6 * inner),
        "out": -0.13 * outer + 0.0 * frown + 0.05 * inner * (1 - outer),
    }
    x_in = 0.15 - 0.06 * frown
    points = _curve(
        (side * x_in, base + 0.015 + lift["in"]),
        (side * 0.36, base - 0.045 + lift["mid"]),
        (side * 0.56, base + 0.03 + lift["out"]),
    )
    share = (_CURVE + 1) / 2
    thick = 0.042 * look.brow_weight * (1 - 0.75 * share**2) * (0.75 + 0.25 * np.minimum(1, 6 * share))
    up = np.stack([np.zeros_like(thick), thick], axis=1)
    shape = np.concatenate([points - up, (points + up)[::-1]])
    canvas.fill(shape, min(look.hair, look.skin * 0.5) * 0.8)


def _mouth(canvas: _Canvas, look: Look, au: Units) -> None:
    smile, down, stretch, press = au["AU12"], au["AU15"], au["AU20"], max(au["AU23"], au["AU24"])
    jaw, part, sneer = au["AU26"], au["AU25"], max(au["AU10"], 0.7 * au["AU9"])
    half = (
        0.25
        * look.mouth_width
        * (1 + 0.38 * smile + 0.35 * stretch - 0.3 * jaw * (1 - stretch) - 0.12 * press - 0.05 * sneer)
    )
    y0 = 0.51 + 0.04 * jaw - 0.03 * au["AU17"]
    corner = y0 - 0.115 * smile + 0.10 * down + 0.05 * stretch + 0.02 * sneer + 0.04 * jaw
    gap = max(0.0, 0.05 * part + 0.07 * part * smile + 0.06 * part * stretch + 0.30 * jaw + 0.035 * sneer * part)
    top = y0 - 0.01 - 0.085 * sneer - 0.03 * part - 0.05 * jaw + 0.03 * smile - 0.03 * down
    bottom = top + gap + 0.0
    bend = (1 - np.abs(_CURVE) ** (2.0 + 1.6 * sneer + 1.2 * stretch)) ** (1 - 0.45 * jaw)
    x = half * _CURVE
    upper_in = corner + (top - corner) * bend
    lower_in = corner + (bottom - corner) * bend
    fullness = look.lips * (1 - 0.7 * press)
    bow = 1 - 0.25 * np.exp(-((_CURVE / 0.16) ** 2))
    upper_out = upper_in - 0.055 * fullness * (1 - _CURVE**2) ** 0.7 * bow
    lower_out = lower_in + 0.075 * fullness * (1 + 0.3 * au["AU17"]) * (1 - _CURVE**2) ** 0.6
    lip = look.skin * 0.66

    def band(a: np.ndarray, b: np.ndarray, narrow: float = 1) -> np.ndarray:
        return np.concatenate([np.stack([narrow * x, a], 1), np.stack([narrow * x, b], 1)[::-1]])

    canvas.fill(band(upper_out, upper_in), lip * 0.9)
    canvas.fill(band(lower_in, lower_out), lip * 1.06)
    canvas.line(np.stack([x, lower_out + 0.035], 1)[4:-4], 130, 0.05, canvas.dark)
    if gap > 0.015:
        canvas.fill(band(upper_in, lower_in), 28)
        teeth = min(gap * 0.75, 0.10) * np.clip(smile + sneer + stretch + 0.25 * jaw, 0, 1)
        row = np.minimum(upper_in + teeth * bend, lower_in)
        canvas.fill(band(upper_in, row, 0.92), 232)
        if jaw > 0.4:
            canvas.fill(band(np.maximum(lower_in - 0.09 * bend, row), lower_in, 0.8), 88)
    else:
        canvas.line(np.stack([x, upper_in], 1), look.skin * 0.25, 0.024 + 0.008 * press)
    for side in (-1, 1):
        canvas.fill(_oval(side * (half + 0.015), corner, 0.02, 0.02), 130 + 100 * max(smile, down), canvas.dark)
        if down > 0.2:
            canvas.line(
                [[side * (half + 0.02), corner], [side * (half + 0.05), corner + 0.12]], 170 * down, 0.03, canvas.dark
            )
    if press > 0.2:
        canvas.line(np.stack([0.9 * x, upper_out - 0.03], 1), 150 * press, 0.03, canvas.dark)
        canvas.line(np.stack([0.9 * x, lower_out + 0.03], 1), 170 * press, 0.04, canvas.dark)


def _front_hair(canvas: _Canvas, look: Look) -> None:
    if look.style == "bald":
        canvas.fill(_oval(-0.2, -0.82, 0.18, 0.07), 130, canvas.bright)
        return
    outline = _outline(look, grow=1.06)
    line = {"short": -0.66, "long": -0.64, "fringe": -0.52}[look.style]
    crown = outline[outline[:, 1] < -0.3]
    crown = crown[np.argsort(np.arctan2(crown[:, 0], -crown[:, 1]))]
    crown = crown * [1.0, 1.1]
    temple = {"short": 0.3, "long": 0.55, "fringe": 0.3}[look.style]
    fall = line + temple * np.abs(_CURVE[::-1]) ** 5 + 0.025 * np.sin(4 * _CURVE[::-1] + 1)
    inner = np.stack([look.width * 0.96 * _CURVE[::-1], fall], 1)
    if look.style == "fringe":
        inner[:, 1] += 0.025 * (np.arange(len(inner)) % 2)
    cap = np.concatenate([crown, inner])
    canvas.body(cap, look.hair)
    for layer in (canvas.dark, canvas.bright):  # no wrinkles on the hair
        canvas.fill(cap, 0, layer)
    for x in np.linspace(-0.5, 0.5, 7):
        strand = _curve((0.15 * x, -1.1), (0.7 * x, -0.95), (x, line - 0.05))
        canvas.line(strand, look.hair + 16, 0.02)
    canvas.line(inner, 130, 0.05, canvas.dark)


def _glasses(canvas: _Canvas, look: Look) -> None:
    for side in (-1, 1):
        rim = _oval(side * 0.32 * look.eye_gap, -0.11, 0.24, 0.19)
        canvas.line(np.concatenate([rim, rim[:1]]), 35, 0.025)
        canvas.line([[side * 0.56, -0.14], [side * 0.76, -0.16]], 35, 0.025)
    canvas.line(_curve((-0.09, -0.13), (0, -0.16), (0.09, -0.13)), 35, 0.025)


def _frame(picture: np.ndarray, look: Look, size: int) -> np.ndarray:
    """Turn the head, cut the frame, shrink, blur, add noise."""
    side = len(picture)
    centre = (side - 1) / 2
    matrix = cv2.getRotationMatrix2D((centre, centre), look.roll, REACH / 1.06 * look.scale)
    matrix[:, 2] += np.array(look.shift) * side / (2 * REACH)
    turned = cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    small = cv2.resize(turned, (size, size), interpolation=cv2.INTER_AREA)
    if look.blur > 0.05:
        small = cv2.GaussianBlur(small, (0, 0), look.blur)
    if look.noise:
        small = small + np.random.default_rng(look.seed).normal(0, look.noise, small.shape)
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)
