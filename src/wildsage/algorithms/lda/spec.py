"""The declaration of lda."""

from __future__ import annotations

from collections.abc import Mapping

from wildsage.algorithms.spec import (
    CSV,
    JSON,
    JSONLINES,
    RECORDIO,
    AlgorithmSpec,
    Channel,
    Integer,
    Real,
    Text,
    Tunable,
    base_type,
    quality,
)


class Documents(Channel):
    """A channel that reads CSV in File mode only."""

    __slots__ = ()

    def validate(self, entry: Mapping[str, str]) -> None:
        super().validate(entry)
        mime = base_type(entry.get("ContentType") or self.default_content_type)
        if mime == CSV:
            mode = entry.get("TrainingInputMode") or "File"
            self._check("TrainingInputMode", mode, ("File", "FastFile"))


SPEC = AlgorithmSpec(
    name="lda",
    title="Latent Dirichlet Allocation (LDA)",
    image_names=("lda",),
    log_name="LDA",
    paper="Anandkumar et al., Tensor Decompositions for Learning Latent Variable Models, JMLR 2014",
    hyperparameters=(
        Integer(
            "num_topics",
            minimum=1,
            required=True,
            tunable=Tunable(1, 150),
            description="Number of topics.",
        ),
        Integer("feature_dim", minimum=1, required=True, description="Words in the vocabulary."),
        Integer(
            "mini_batch_size",
            minimum=1,
            required=True,
            description="Documents in the corpus; a smaller number has topics updated as often.",
        ),
        Real(
            "alpha0",
            minimum=0,
            exclusive_minimum=True,
            default=1.0,
            tunable=Tunable(0.1, 10),
            description="First guess of the concentration: small for few topics per document.",
        ),
        Integer(
            "max_restarts",
            minimum=1,
            default=10,
            description="Most starts of the alternating least squares.",
        ),
        Integer(
            "max_iterations",
            minimum=1,
            default=1000,
            description="Most iterations of a start.",
        ),
        Real(
            "tol",
            minimum=0,
            exclusive_minimum=True,
            default=1e-8,
            description="A start ends when its components move less than this, squared.",
        ),
        Text("_kvstore", default="auto"),
        Text("_log_level", default="info"),
        Text("_num_gpus", default="auto"),
        Text("_tuning_objective_metric", default=""),
    ),
    channels=(
        Documents("train", required=True, description="Documents: counts of words."),
        Documents("test", description="Documents to measure the model with."),
    ),
    metrics=(quality("test", "pwll", "score"),),
    content_types=(CSV, JSON, JSONLINES, RECORDIO),
    distributed=False,
)
