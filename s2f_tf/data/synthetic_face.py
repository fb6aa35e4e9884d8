"""The face of a synthetic speaker: a portrait drawn from signed distances.

Every shape is a function that is negative inside; what it covers of a pixel follows from the distance to its edge, so
that edges are smooth at any size. Coordinates run from -1 to 1 to the right and down; the eyes are always at the same
height, as in aligned photographs.
"""

from collections.abc import Mapping

import numpy as np

_SKIN = np.array([[255, 226, 202], [241, 198, 160], [216, 163, 118], [170, 116, 78], [122, 80, 54]]) / 255
_HAIR = np.array([[30, 26, 30], [66, 44, 34], [112, 72, 44], [164, 88, 46], [216, 174, 104]]) / 255
_EYES = np.array([[74, 48, 30], [120, 88, 44], [86, 124, 72], [92, 138, 186]]) / 255
_BACKGROUNDS = np.array([[176, 190, 206], [206, 196, 178], [160, 184, 164], [122, 140, 170], [218, 164, 152]]) / 255
_CLOTHES = np.array([[58, 74, 110], [128, 62, 66], [76, 104, 84], [72, 70, 78], [206, 200, 190]]) / 255
_GREY = np.array([226, 226, 230]) / 255
_INK = np.array([34, 24, 26]) / 255
_WHITE = np.array([250, 248, 246]) / 255

_EYE_Y = -0.08


def draw(factors: Mapping[str, float], size: int) -> np.ndarray:
    """The portrait that `factors` describe: uint8 [size, size, 3], RGB.

    `factors` holds the shared factors, those of the face alone and those of the photograph; see `synthetic.FACTORS`.
    """
    return _Portrait(factors, size).picture()


class _Portrait:
    """The factors turned into measures once, and the layers of paint, each a method, from back to front."""

    def __init__(self, factors: Mapping[str, float], size: int) -> None:
        axis = (np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1
        self.x, self.y = axis[None, :], axis[:, None]
        self.pixel = 2 / size
        self.canvas = np.zeros((3, size, size), np.float32)
        self.factors = factors

        self.low = (1 - factors["pitch"]) / 2
        self.round = (1 + factors["tract"]) / 2
        self.old = (1 + factors["age"]) / 2
        self.full = (1 + factors["fullness"]) / 2
        self.nose = (1 + factors["nasality"]) / 2
        self.clear = (1 + factors["articulation"]) / 2
        self.length = (1 + factors["hair_length"]) / 2

        self.skin = _blend(_SKIN, factors["skin"])
        self.hair = _mix(_blend(_HAIR, factors["hair_colour"]), _GREY, 0.9 * self.old**1.2)
        self.turn = factors["pose"]
        self.chin = 0.88 - 0.3 * self.round
        self.crown = -0.88 + 0.2 * self.round
        self.nose_y = 0.19 + 0.1 * (0.5 - self.round) + 0.07 * self.nose
        self.mouth_y = self.nose_y + (self.chin - self.nose_y) * 0.42
        self.half_width = 0.5 + 0.06 * self.full + 0.06 * self.round
        self.head = self._head()
        self.shadow = self._shadow()

    def picture(self) -> np.ndarray:
        self._backdrop()
        self._back_hair()
        self._shoulders()
        self._ears()
        self._skin()
        self._wrinkles()
        self._beard()
        self._mouth()
        self._nose()
        self._eyes()
        self._brows()
        self._front_hair()
        self._glasses()
        return (self.canvas.transpose(1, 2, 0).clip(0, 1) * 255 + 0.5).astype(np.uint8)

    def _paint(
        self, distance: np.ndarray, colour: np.ndarray, opacity: np.ndarray | float = 1.0, softness: float = 0.0
    ) -> None:
        """Lays a colour, [3] or [3, size, size], over what lies inside; `softness` is the width of the edge."""
        cover = (0.5 - distance * (1 / max(self.pixel, softness))).clip(0.0, 1.0) * opacity
        self.canvas += cover * (_plane(colour) - self.canvas)

    def _at(self, x: float, depth: float = 0.1) -> float:
        """Where a feature of the face at `x` is seen once the head has turned; the further out, the more it moves."""
        return x * (1 - 0.1 * abs(self.turn) - 0.1 * self.turn * np.sign(x)) + depth * self.turn

    def _shade(self, colour: np.ndarray, strength: float = 1.0) -> np.ndarray:
        """A colour on the head, lit from the side that `light` tells and from above: [3, size, size]."""
        return _plane(colour) * (1 - strength * self.shadow)

    def _shadow(self) -> np.ndarray:
        """How much darker each colour is for the light: [3, size, size]; below zero where it falls straight."""
        across = np.clip((self.x - 0.03 * self.turn) / (self.half_width + 0.1), -1, 1)
        down = np.clip((self.y + 0.05) / 0.95, -1, 1)
        outward = np.sqrt(np.maximum(1 - across**2 - down**2 * 0.7, 0.0))
        lit = 0.62 * self.factors["light"] * across - 0.3 * down + 0.62 * outward
        warm = _plane(np.array([0.62, 0.78, 0.86]))  # shadows on skin are warm
        return warm * np.clip(0.55 - lit, -0.25, 0.7)

    def _head(self) -> np.ndarray:
        """Distance to the outline of skull, cheeks and jaw."""
        x, y = self.x - 0.03 * self.turn, self.y
        middle = -0.1
        above, below = (middle - y) / (middle - self.crown), (y - middle) / (self.chin - middle)
        power = 2.05 + 0.9 * self.full
        cheeks = 1 + (0.26 * self.full - 0.07) * np.sin(np.pi * np.clip(below, 0, 1)) - 0.12 * (1 - self.full) * below
        upper = (np.abs(x / self.half_width) ** 2.3 + np.maximum(above, 0) ** 2.3) ** (1 / 2.3)
        lower = (np.abs(x / (self.half_width * np.maximum(cheeks, 0.5))) ** power + np.maximum(below, 0) ** power) ** (
            1 / power
        )
        return _to_distance(np.where(y < middle, upper, lower) - 1, self.pixel)

    def _backdrop(self) -> None:
        colour = _blend(_BACKGROUNDS, self.factors["background"]).reshape(3, 1, 1)
        glow = 1.1 - 0.22 * _length(self.x - 0.5 * self.factors["light"], self.y + 0.3)
        self.canvas += colour * glow

    def _back_hair(self) -> None:
        if self.length < 0.3:
            return
        bottom = -0.1 + 1.15 * self.length
        width = self.half_width + 0.1 + 0.08 * self.length
        top = self.crown - 0.1
        fall = _superellipse(self.x - 0.02 * self.turn, self.y - (top + bottom) / 2, width, (bottom - top) / 2, 2.8)
        self._paint(fall, self._strands(0.72))

    def _shoulders(self) -> None:
        cloth = _blend(_CLOTHES, self.factors["clothes"])
        neck = 0.2 + 0.12 * self.low
        slope = _superellipse(self.x, self.y - 1.42, 0.95 + 0.1 * self.low, 0.58, 2.6)
        self._paint(slope, self._shade(cloth, 0.6))
        self._paint(np.maximum(_ellipse(self.x, self.y - 0.86, neck + 0.1, 0.2), -2.0), cloth * 0.75)
        throat = np.maximum(np.abs(self.x) - neck, _ellipse(self.x, self.y - 0.45, neck + 0.25, 0.58))
        self._paint(throat, self._shade(self.skin * 0.86))
        self._paint(np.maximum(throat, self.head - 0.13), self.skin * [0.62, 0.52, 0.5], 0.7, 0.12)

    def _ears(self) -> None:
        for side in (-1, 1):
            x = self.x - side * (self.half_width + 0.02) + 0.05 * self.turn
            self._paint(_ellipse(x, self.y - 0.03, 0.09, 0.15), self._shade(self.skin * [0.95, 0.86, 0.84]))
            self._paint(_ellipse(x, self.y - 0.03, 0.045, 0.09), self.skin * [0.78, 0.62, 0.58], 0.7, 0.04)

    def _skin(self) -> None:
        self._paint(self.head, self._shade(self.skin))
        for side in (-1, 1):
            cheek = _ellipse(self.x - self._at(0.31 * side), self.y - 0.2, 0.16, 0.12)
            self._paint(cheek, np.array([0.9, 0.36, 0.32]), 0.08 + 0.12 * self.full, 0.16)

    def _wrinkles(self) -> None:
        furrow, depth = self.skin * [0.6, 0.48, 0.45], np.clip(1.3 * self.old - 0.2, 0, 1)
        if depth == 0:
            return
        for k, width in enumerate((0.2, 0.24, 0.2)):
            line = _arc(self.x - self._at(0.0), self.y + 0.36 + 0.075 * k, width, 0.35, 0.011)
            self._paint(line, furrow, 0.75 * depth)
        for side in (-1, 1):
            x = (self.x - self._at(0.27 * side)) * side
            self._paint(_arc(x, self.y - _EYE_Y - 0.13, 0.11, -1.2, 0.012), furrow, 0.65 * depth)  # below the eyes
            fold = (self.x - self._at(0.18 * side)) * side - 0.28 * (self.y - self.nose_y)
            span = np.abs(self.y - self.nose_y - 0.06) - 0.11
            self._paint(np.maximum(np.abs(fold) - 0.013, span), furrow, 0.75 * depth)  # from nose to mouth
            for k in (-1, 0, 1):  # crow's feet
                tilt = self.y - _EYE_Y - k * (0.04 + 0.35 * (x - 0.15))
                self._paint(np.maximum(np.abs(tilt) - 0.009, np.abs(x - 0.19) - 0.04), furrow, 0.6 * depth)

    def _beard(self) -> None:
        strength = np.clip(1.25 * self.low - 0.15, 0, 1)
        if strength == 0:
            return
        colour = self._strands(0.78, self.hair * 0.6)
        x, down = self.x - self._at(0.0, 0.06), self.y - self.mouth_y
        cheek_line = self.mouth_y - 0.02 - 0.42 * strength * np.clip(np.abs(x) / 0.5, 0, 1) ** 2.2
        jaw = np.maximum(self.head - 0.05 * strength, cheek_line - self.y)
        around_lips = _ellipse(x, down - 0.01, 0.12 + 0.14 * self.clear, 0.05 + 0.06 * self.clear)
        self._paint(np.maximum(jaw, -around_lips), colour, strength**0.8, 0.05)
        moustache = np.maximum(_arc(x, down + 0.09, 0.24, 0.9, 0.045), self.nose_y - self.y)
        self._paint(moustache, colour, strength**0.7, 0.03)

    def _mouth(self) -> None:
        width, lip = 0.11 + 0.19 * self.clear, 0.022 + 0.058 * self.clear
        x, y = self.x - self._at(0.0), self.y - self.mouth_y
        along = np.clip(1 - (x / width) ** 2, 0, 1)
        y = y + (0.03 + 0.07 * self.factors["smile"]) * (0.6 - along)
        red = _mix(self.skin * [0.82, 0.45, 0.45], np.array([0.72, 0.2, 0.24]), 0.35)
        bow = 1 - 0.35 * np.exp(-((x / 0.035) ** 2))
        ends = np.abs(x) - width
        self._paint(np.maximum(np.maximum(-lip * along**0.7 * bow - y, y), ends), self._shade(red * 0.88, 0.5))
        self._paint(np.maximum(np.maximum(-y, y - 1.3 * lip * along), ends), self._shade(red * 1.06, 0.5))
        self._paint(np.maximum(np.abs(y) - 0.011, ends), red * [0.45, 0.35, 0.35], 0.9)
        self._paint(_ellipse(x, y - 0.6 * lip, width * 0.4, lip * 0.3), _WHITE, 0.3, 0.03)
        self._paint(_ellipse(x, y - 1.3 * lip - 0.055, 0.1, 0.03), self.skin * [0.6, 0.5, 0.48], 0.25, 0.05)

    def _nose(self) -> None:
        width, height = 0.055 + 0.19 * self.nose, 0.04 + 0.085 * self.nose
        x, y = self.x - self._at(0.0, 0.16), self.y - self.nose_y
        shadow, skin = (
            self.skin * [0.62, 0.47, 0.43],
            self.skin * [1.0, 0.97 - 0.1 * self.nose, 0.95 - 0.11 * self.nose],
        )
        side = -1 if self.factors["light"] > 0 else 1
        bridge = np.abs(x - side * (0.4 * width - 0.16 * y) + 0.06 * self.turn * (y < 0)) - 0.02
        self._paint(np.maximum(bridge, np.abs(y + 0.14) - 0.14), shadow, 0.3 + 0.35 * abs(self.factors["light"]), 0.05)
        self._paint(_ellipse(x, y - 0.035, width * 1.06, height), shadow, 0.75, 0.05)
        for wing in (-1, 1):
            self._paint(
                _ellipse(x - wing * width * 0.66, y, width * 0.42, height * 0.75),
                self._shade(skin * 0.95),
                1,
                0.03,
            )
        self._paint(_ellipse(x, y - 0.005, width * 0.72, height), self._shade(skin), 1, 0.04)
        for wing in (-1, 1):
            nostril = _ellipse(x - wing * width * 0.48, y - height * 0.72, width * 0.24, 0.022)
            self._paint(nostril, shadow * 0.45, 0.85, 0.02)
        self._paint(_ellipse(x, y + height * 0.3, width * 0.28, height * 0.34), _WHITE, 0.4, 0.04)

    def _eyes(self) -> None:
        iris = _blend(_EYES, self.factors["eye_colour"])
        for side in (-1, 1):
            x, y = self.x - self._at(0.27 * side), self.y - _EYE_Y
            self._paint(_ellipse(x, y + 0.02, 0.17, 0.11), self.skin * [0.7, 0.55, 0.52], 0.35, 0.1)
            opening = np.maximum(_length(x, y - 0.13) - 0.205, _length(x, y + 0.125) - 0.2)
            gaze = x - 0.03 * self.turn
            self._paint(opening, _WHITE * 0.97)
            for radius, colour in ((0.084, iris * 0.5), (0.072, iris), (0.036, _INK * 0.4)):
                self._paint(np.maximum(_length(gaze, y + 0.005) - radius, opening), colour)
            self._paint(
                np.maximum(np.abs(_length(x, y - 0.13) - 0.205) - 0.016, np.abs(x) - 0.17), _INK, (y < 0.03) * 0.9
            )
            self._paint(_length(gaze - 0.025, y + 0.03) - 0.02, _WHITE)

    def _brows(self) -> None:
        thickness = 0.014 + 0.038 * self.low
        for side in (-1, 1):
            x = (self.x - self._at(0.28 * side)) * side
            taper = thickness * np.clip(1.1 - 2.2 * (x + 0.1), 0.45, 1.0)
            brow = _arc(x, self.y - _EYE_Y + 0.185 + 0.02 * (1 - self.low), 0.17, 1.6, taper)
            self._paint(brow, self.hair * 0.55, 0.95)

    def _front_hair(self) -> None:
        x = self.x - 0.04 * self.turn
        volume = 0.07 + 0.05 * self.length
        across = np.abs(x) / self.half_width
        hairline = -0.42 - 0.2 * self.old + 0.1 * self.round
        bays = 0.2 * self.old**2 * np.exp(-(((across - 0.55) / 0.22) ** 2))  # where hair recedes first
        sweep = 0.09 * self.factors["parting"] * np.sin(2.2 * x / self.half_width)
        fringe = hairline + 0.16 * across**2 - bays + sweep
        sides = -0.02 + np.clip(2 * self.length - 0.8, 0, 0.45)
        edge = fringe + (sides - fringe) * np.clip((across - 0.82) / 0.1, 0, 1)
        thin = np.clip((sides + 0.05 - self.y) / 0.3, self.length, 1)  # short hair ends close to the head
        cap = np.maximum(self.head - volume * thin, _to_distance(self.y - edge, self.pixel))
        self._paint(cap, self._strands(0.55), 0.5, 0.09)  # its shadow on the forehead
        self._paint(cap, self._strands(1.0))

    def _strands(self, brightness: float, colour: np.ndarray | None = None) -> np.ndarray:
        """The colour of hair, lit, with a band of gloss and a hint of strands: [3, size, size]."""
        angle = np.arctan2(self.x, 1.2 - self.y)
        texture = 1 + 0.06 * np.sin(38 * angle + 3 * np.sin(4 * self.y))
        gloss = (0.25 - 0.12 * self.old) * np.exp(-(((self.y - self.crown - 0.16 - 0.35 * self.x**2) / 0.09) ** 2))
        gloss = gloss * (0.6 + 0.4 * np.clip(1 + 2 * self.factors["light"] * self.x, 0, 2))
        lit = self._shade((self.hair if colour is None else colour) * brightness, 0.8) * texture
        return lit + gloss * brightness * (0.25 + 0.5 * lit)

    def _glasses(self) -> None:
        if self.factors["glasses"] < 0.5:
            return
        frame = np.array([0.12, 0.11, 0.14])
        for side in (-1, 1):
            x, y = self.x - self._at(0.275 * side, 0.12), self.y - _EYE_Y - 0.01
            rim = _superellipse(x, y, 0.215, 0.165, 3.2)
            self._paint(rim, np.array([0.85, 0.92, 1.0]), 0.14)
            self._paint(np.abs(rim) - 0.02, frame)
            arm = np.maximum(np.abs(y + 0.04) - 0.017, np.abs(x - side * 0.28) - 0.075)
            self._paint(arm, frame)
        bridge = _arc(self.x - self._at(0.0, 0.12), self.y - _EYE_Y + 0.03, 0.075, 2.0, 0.017)
        self._paint(bridge, frame)


def _plane(colour: np.ndarray) -> np.ndarray:
    """A colour, [3] or already [3, size, size], as float32 that spreads over the canvas."""
    return np.asarray(colour, np.float32).reshape((3, 1, 1) if np.ndim(colour) == 1 else np.shape(colour))


def _blend(colours: np.ndarray, value: float) -> np.ndarray:
    """The colour at `value` in [-1, 1] along a row of colours."""
    place = (value + 1) / 2 * (len(colours) - 1)
    return np.array([np.interp(place, np.arange(len(colours)), channel) for channel in colours.T])


def _mix(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    return first + share * (second - first)


def _to_distance(level: np.ndarray, pixel: float) -> np.ndarray:
    """A level set turned into a distance near its edge, by the length of its gradient."""
    return level / np.maximum(_length(*np.gradient(level, pixel)), 0.3)


def _ellipse(x: np.ndarray, y: np.ndarray, width: float, height: float) -> np.ndarray:
    """Distance, near the edge, to an ellipse of those half axes about the origin."""
    near, far = _length(x / width, y / height), _length(x / width**2, y / height**2)
    return near * (near - 1) / np.maximum(far, 1e-6)


def _length(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sqrt(x * x + y * y)  # np.hypot guards against overflow, and takes ten times as long


def _superellipse(x: np.ndarray, y: np.ndarray, width: float, height: float, power: float) -> np.ndarray:
    """About the distance to a rounded rectangle of those half axes."""
    radius = (np.abs(x / width) ** power + np.abs(y / height) ** power) ** (1 / power)
    return (radius - 1) * min(width, height)


def _arc(x: np.ndarray, y: np.ndarray, width: float, bend: float, thickness: np.ndarray | float) -> np.ndarray:
    """About the distance to a stroke of a half length and half thickness; positive `bend` curves its ends down."""
    slope = 2 * bend * x
    stroke = np.abs(y - bend * x**2) / np.sqrt(1 + slope**2) - thickness
    return np.maximum(stroke, np.abs(x) - width)
