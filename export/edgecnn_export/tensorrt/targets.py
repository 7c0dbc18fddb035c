"""Which GPUs to compile for."""

from __future__ import annotations

from edgecnn_export.tensorrt.compilers import JETSON, Compiler
from edgecnn_runtime.errors import InputError, unknown_name


def resolve_targets(compiler: Compiler, targets: str, here: str | None) -> list[str]:
    """`local` or `sm86,sm89` -> compute capabilities, each checked against the compiler.

    Args:
        here: this machine's GPU, such as `sm86`; None without one.

    Raises:
        InputError: an unknown target, or `local` without a GPU.
    """
    known = compiler.targets()
    names = [t.strip().lower() for t in targets.split(",") if t.strip()]
    if not names:
        raise InputError(f"--target {targets!r}; expected local, or a list such as sm86,sm89")
    resolved = []
    for name in names:
        target = _local(known, here) if name == "local" else name
        if not known and target != here:
            raise InputError(
                f"target {target}: TensorRT {compiler.version} compiles for this machine's GPU"
                f" alone ({here or 'there is none'}); TensorRT-RTX compiles for others"
            )
        if known and target not in known:
            raise _not_among(compiler, target, known, here)
        if target not in resolved:
            resolved.append(target)
    return resolved


def _local(known: tuple[str, ...], here: str | None) -> str:
    if here is None:
        more = (
            f"; name the GPUs to compile for, such as --target {known[-4]},{known[-3]}"
            if len(known) > 3
            else ""
        )
        raise InputError(f"--target local: no NVIDIA GPU is here{more}")
    return here


def _not_among(
    compiler: Compiler, target: str, known: tuple[str, ...], here: str | None
) -> InputError:
    if target == here and target not in JETSON:
        return InputError(
            f"this machine's GPU is {target}, which {compiler} has no kernels for; it has"
            f" {', '.join(known)}. Plain TensorRT compiles here: pip install 'edgecnn[tensorrt]'"
        )
    if target in JETSON:
        return InputError(
            f"target {target} is a Jetson, which {compiler.name} has no kernels for; copy the"
            " bundle there and compile with JetPack's TensorRT"
        )
    return unknown_name("target", target, known, ", or local")
