"""What a model is: input, preprocessing, labels, artifacts. The schema of manifest.json."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

SCHEMA_VERSION = 1

Size = Annotated[int, msgspec.Meta(ge=1, le=16384)]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
# Relative, inside the bundle: a manifest from a stranger must not reach out of its folder.
BundlePath = Annotated[str, msgspec.Meta(pattern=r"^(?!/)(?!.*\.\.)[A-Za-z0-9._+/-]+$")]
Color = Literal["bgr", "rgb", "gray"]
ResizeMode = Literal["crop", "stretch", "letterbox", "pad"]
Interpolation = Literal["area+linear", "bilinear-antialias", "bicubic-antialias"]


class Input(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The only description of preprocessing: from a BGR camera frame to what the graph takes.

    The steps, in order: resize and crop on the frame, colour, inversion, border. What comes out is
    uint8 (height, width, channels); the graph subtracts `mean` and divides by `std`, both on the
    scale 0 to 1 and in the order of `color`.

    Attributes:
        resize: `crop` scales the shorter side to `shorter_side` and cuts the middle `crop`;
            `stretch` ignores the aspect; `letterbox` fits the whole frame and fills the border;
            `pad` does as `crop` and then puts the cut in the middle of a border.
        shorter_side: pixels; for `crop` and `pad`. A frame whose scaled side would not cover `crop`
            is scaled until it does.
        crop: (height, width) cut from the middle; for `crop` it is the input's own size.
        invert: dark ink to light, after the colour conversion.
        border: grey level of the border of `letterbox` and `pad`.
        frame: (height, width) of the BGR camera frames that the graph takes as they are, doing all
            of this itself; None where it takes what comes out.
    """

    height: Size
    width: Size
    channels: Literal[1, 3]
    color: Color
    resize: ResizeMode = "crop"
    shorter_side: Size | None = None
    crop: tuple[Size, Size] | None = None
    interpolation: Interpolation = "area+linear"
    invert: bool = False
    border: Annotated[int, msgspec.Meta(ge=0, le=255)] = 0
    frame: tuple[Size, Size] | None = None
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        _check_channels(self.color, self.channels)
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise ValueError(f"mean and std need {self.channels} value(s) each")
        if not all(s > 0 for s in self.std):
            raise ValueError("every std must be above 0")
        if self.resize in ("crop", "pad"):
            self._check_crop()

    @property
    def takes(self) -> tuple[int, int, int]:
        """(H, W, C) of what the graph takes."""
        return (*self.frame, 3) if self.frame else (self.height, self.width, self.channels)

    def _check_crop(self) -> None:
        if self.shorter_side is None or self.crop is None:
            raise ValueError(f"resize {self.resize!r} needs shorter_side and crop")
        if self.resize == "crop" and self.crop != (self.height, self.width):
            raise ValueError(f"crop {self.crop} must be the input's {(self.height, self.width)}")
        if self.crop[0] > self.height or self.crop[1] > self.width:
            raise ValueError(f"crop {self.crop} does not fit {(self.height, self.width)}")


class FrameInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a filter takes: uint8 (height, width, channels) of any size, as the camera gives it.

    Attributes:
        color: what the BGR camera frame is converted to. Nothing is resized or cropped.
    """

    height: Literal["any"] = "any"
    width: Literal["any"] = "any"
    channels: Literal[1, 3]
    color: Color

    def __post_init__(self) -> None:
        _check_channels(self.color, self.channels)


class Picture(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a filter answers with: its response as uint8 (height, width, channels).

    The graph maps a response r to the grey level round(offset + scale · r), cut to 0 to 255, where
    the frame's own pixels count from 0 to 1.
    """

    channels: Literal[1, 3]
    color: Color
    scale: float
    offset: float

    def __post_init__(self) -> None:
        _check_channels(self.color, self.channels)


def _check_channels(color: str, channels: int) -> None:
    if (channels == 1) != (color == "gray"):
        raise ValueError(f"color {color!r} does not have {channels} channel(s)")


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """Name, size and cost of the network. `macs` is for one image."""

    name: str
    width: float = 1.0
    resolution: tuple[int, int]
    depth: int | None = None
    parameters: int
    macs: int | None = None


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Name of a filter, and what it shows."""

    name: str
    help: str = ""


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the bundle; `file` is relative to it."""

    file: BundlePath
    sha256: Sha256
    bytes: int


class OnnxArtifact(File, frozen=True, kw_only=True, tag_field="kind", tag="onnx"):
    """An ONNX graph: uint8 NHWC frames in, probabilities or uint8 NHWC pictures out.

    Attributes:
        data: its weights, in a file beside it, where they are too large for the graph itself.
        kept: nodes that are computed in FP32 in spite of the precision.
    """

    precision: str
    kept: tuple[str, ...] = ()
    data: File | None = None


class EngineOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an engine was built, where that differs from the compiler's own way.

    Attributes:
        level: the builder's optimisation level, 0 to 5; from 4 on every kernel is generated.
        workspace_mb: scratch memory that its kernels were held to; None: as much as there is.
        version_compatible: runs on later versions of the same compiler too.
        hardware_compatible: runs on every GPU from sm80 on, and not on its target alone.
        strip: its weights were left out; they come back from the ONNX graph by refitting.
        refittable: its weights can be exchanged.
        sparse: kernels for weights of 2:4 sparsity were allowed.
        dla: the deep learning accelerator of a Jetson that it runs on, the GPU taking the rest.
    """

    level: Annotated[int, msgspec.Meta(ge=0, le=5)] = 3
    workspace_mb: Annotated[int, msgspec.Meta(ge=1)] | None = None
    version_compatible: bool = False
    hardware_compatible: bool = False
    strip: bool = False
    refittable: bool = False
    sparse: bool = False
    dla: Annotated[int, msgspec.Meta(ge=0)] | None = None


class EngineArtifact(File, frozen=True, kw_only=True, tag_field="kind", tag="engine"):
    """A compiled engine, one per precision and target.

    Compiler, version, target, precision, batch, options and the graph's hash are its identity.

    Attributes:
        target: compute capability, `sm86`.
        batch: smallest, best and largest batch of its optimisation profile.
        onnx_sha256: of the graph that it was compiled from.
    """

    precision: str
    compiler: Literal["tensorrt", "tensorrt-rtx"]
    version: str
    target: str
    batch: tuple[int, int, int]
    onnx_sha256: Sha256
    options: EngineOptions = EngineOptions()


Artifact = OnnxArtifact | EngineArtifact


class _Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What every bundle holds, whatever it answers with.

    Attributes:
        metrics: figures measured when the bundle was made, top-1 among them.
        provenance: how it was made: versions, run, data, time.
    """

    schema_version: int = SCHEMA_VERSION
    artifacts: Annotated[tuple[Artifact, ...], msgspec.Meta(min_length=1)]
    golden: File | None = None
    metrics: dict[str, float] = {}
    provenance: dict[str, Any] = {}

    @property
    def onnx(self) -> tuple[OnnxArtifact, ...]:
        return tuple(a for a in self.artifacts if isinstance(a, OnnxArtifact))

    @property
    def engines(self) -> tuple[EngineArtifact, ...]:
        return tuple(a for a in self.artifacts if isinstance(a, EngineArtifact))


class Manifest(_Contents, frozen=True, kw_only=True, tag_field="task", tag="classify"):
    """The manifest.json of a bundle that answers with labels: its task is `classify`.

    Attributes:
        weights: `trained`, `pretrained NAME` or `random`.
    """

    model: Model
    input: Input
    labels: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    weights: Annotated[str, msgspec.Meta(pattern="^(trained|random|pretrained .+)$")]

    @property
    def is_random(self) -> bool:
        """Whether its weights were never trained: said wherever its answers are shown."""
        return self.weights == "random"


class ImageManifest(_Contents, frozen=True, kw_only=True, tag_field="task", tag="image"):
    """The manifest.json of a bundle that answers with a picture: its task is `image`."""

    model: Filter
    input: FrameInput
    picture: Picture
    weights: Literal["fixed"] = "fixed"

    @property
    def is_random(self) -> bool:
        return False


AnyManifest = Manifest | ImageManifest
_AT_THE_TOP = ("schema_version", "task", "model", "input", "picture", "labels", "weights")


def decode(text: bytes) -> AnyManifest:
    """Read manifest.json.

    Raises:
        ValueError: it is not JSON, not of this schema, or of a newer one.
    """

    class Version(msgspec.Struct):
        schema_version: int

    version = msgspec.json.decode(text, type=Version).schema_version
    if version > SCHEMA_VERSION:
        raise ValueError(
            f"schema version {version}, this edgecnn reads up to {SCHEMA_VERSION}: upgrade edgecnn"
        )
    manifest: AnyManifest = msgspec.json.decode(text, type=AnyManifest)
    return manifest


def encode(manifest: AnyManifest) -> bytes:
    """The content of manifest.json, what people look for first at the top."""
    fields = msgspec.to_builtins(manifest)
    ordered = {name: fields[name] for name in (*_AT_THE_TOP, *fields) if name in fields}
    return msgspec.json.format(msgspec.json.encode(ordered), indent=2) + b"\n"
