"""One artifact after the other, held to the workstation's answers and to the first one's."""

from __future__ import annotations

import numpy as np

from edgecnn_export.agreement import Agreement, Frame, looser
from edgecnn_export.causes import exchanged, other_metadata
from edgecnn_export.findings import AGREES, DIFFERS, OTHER_ANSWERS, Figures, Verdict
from edgecnn_export.outputs import BATCH, Outputs, compare_outputs, outputs_of
from edgecnn_runtime.backends import Backend, GraphBackend
from edgecnn_runtime.bundle import Golden
from edgecnn_runtime.errors import BundleError, CheckFailedError
from edgecnn_runtime.manifest import Artifact, EngineArtifact, Input, Manifest


class Comparison:
    """Compares artifacts of one network; the first that it is given is the others' reference.

    Args:
        golden: the workstation's answers, to which each is held, the first too.
    """

    def __init__(self, golden: Golden | None = None) -> None:
        self.golden = golden
        self._first: tuple[Outputs, str, bool] | None = None

    def verdict(
        self, manifest: Manifest, artifact: Artifact, engine: Backend, inputs: Frame | None
    ) -> Verdict:
        """Run an artifact.

        Args:
            inputs: frames as the graph takes them (`inputs_of`), beside the golden ones.

        Raises:
            BundleError: it takes other frames than its manifest says.
        """
        _check_size(manifest.input, artifact, engine)
        precision, takes_frames = artifact.precision, manifest.input.frame is not None
        least, _, most = artifact.batch if isinstance(artifact, EngineArtifact) else (1, 1, BATCH)

        def run(frames: Frame) -> Outputs:
            return outputs_of(engine, frames, least, most)

        golden = data = None
        symptom = cause = ""
        try:
            if self.golden:
                # The workstation's inputs: whether this machine's differ is told by itself.
                reference = Outputs(self.golden.probabilities)
                shown = np.stack(self.golden.frames) if takes_frames else self.golden.inputs

                def on_golden(outputs: Outputs) -> Agreement:
                    return compare_outputs(reference, outputs, precision, takes_frames=takes_frames)

                golden = on_golden(run(shown))
                if not (golden.holds or golden.broken):
                    cause = exchanged(run, shown, lambda outputs: on_golden(outputs).holds)
            if inputs is not None:
                data = self._with_first(run(inputs), precision, takes_frames)
            wrong = next((a.reason for a in (golden, data) if a and not a.holds), "")
            symptom = wrong and f"{OTHER_ANSWERS}: {wrong}"
        except CheckFailedError as error:
            symptom = str(error)
        if isinstance(engine, GraphBackend):
            cause = other_metadata(manifest, engine.metadata) or cause
        reason = "; ".join(filter(None, (symptom, cause)))
        return Verdict(
            artifact.file,
            artifact.precision,
            DIFFERS if reason else AGREES,
            reason,
            _figures(golden),
            _figures(data),
            engine.name,
        )

    def _with_first(self, outputs: Outputs, precision: str, takes_frames: bool) -> Agreement:
        if self._first is None:  # to itself, since it may not even give numbers
            self._first = outputs, precision, takes_frames
        reference, other, first_does = self._first
        either = takes_frames or first_does
        return compare_outputs(reference, outputs, looser(precision, other), takes_frames=either)


def _check_size(spec: Input, artifact: Artifact, engine: Backend) -> None:
    if engine.input_shape != spec.takes:
        raise BundleError(
            f"{artifact.file} takes {engine.input_shape}, the manifest says {spec.takes};"
            " export the bundle again"
        )


def _figures(found: Agreement | None) -> Figures | None:
    if found is None:
        return None
    return Figures(
        frames=found.frames,
        max_abs=found.max_abs,
        max_logit_share=found.max_logit_share,
        on_logits=found.on_logits,
        top1_agreement=found.top1_agreement,
        worst_frame=found.worst_frame,
    )
