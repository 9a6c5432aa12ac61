"""What models are, and what is needed to convert and to fetch them."""

from enum import StrEnum


class Framework(StrEnum):
    """What must be there to convert a model; each has an extra and an image of its own, for they are large."""

    TENSORFLOW = "TensorFlow"
    TORCH = "Torch"
    RLLIB = "RLlib"


class ModelFormat(StrEnum):
    """The formats that can be imported."""

    BUNDLE = "Bundle"
    ONNX = "ONNX"
    SAVED_MODEL = "SavedModel"
    KERAS = "Keras"
    TORCH_SCRIPT = "TorchScript"
    TORCH_EXPORT = "TorchExport"
    STABLE_BASELINES3 = "StableBaselines3"
    RLLIB = "RLlib"

    @property
    def framework(self) -> Framework | None:
        """What converts it; None: the server's image alone."""
        return _FRAMEWORKS.get(self)


_FRAMEWORKS = {
    ModelFormat.SAVED_MODEL: Framework.TENSORFLOW,
    ModelFormat.KERAS: Framework.TENSORFLOW,
    ModelFormat.TORCH_SCRIPT: Framework.TORCH,
    ModelFormat.TORCH_EXPORT: Framework.TORCH,
    ModelFormat.STABLE_BASELINES3: Framework.TORCH,
    ModelFormat.RLLIB: Framework.RLLIB,
}


MODEL_CREDENTIALS = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"),
    "GOOGLE_APPLICATION_CREDENTIALS_JSON",
    *("HF_TOKEN", "HF_ENDPOINT"),
    *("HTTP_ORIGIN", "HTTP_BEARER_TOKEN", "HTTP_USERNAME", "HTTP_PASSWORD"),
)
"""What a Secret may say of where models come from; nothing else of it is used."""


class ModelOutput(StrEnum):
    """What the outputs of a model for one discrete action mean."""

    LOGITS = "Logits"
    PROBABILITIES = "Probabilities"
    Q_VALUES = "QValues"
