"""What can go wrong, without a framework; each edge translates once: HTTP in `http_errors`, codes in `__main__`."""


class PolicyServerError(Exception):
    """The message is for a person: it names the thing that is wrong and the remedy."""


class ConfigError(PolicyServerError):
    """The configuration or the keys can't be used."""


class BundleError(PolicyServerError):
    """A bundle is missing, damaged, or of another format version."""


class ImportFailed(PolicyServerError):
    """A model can't be fetched or converted."""


class SchemaMismatch(PolicyServerError):
    """The schema and the model contradict each other."""


class ObservationError(PolicyServerError):
    """An observation passed its schema but doesn't fit the model.

    `location` names the offending part of the observation, innermost last.
    """

    def __init__(self, message: str, location: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.location = location


class NotOffered(PolicyServerError):
    """The policy has no such thing, such as a table of probabilities over real numbers."""


class Overloaded(PolicyServerError):
    """There is more to do than can be done now."""


class InferenceFailed(PolicyServerError):
    """The model gave no usable answer to a valid observation."""


class PolicyAway(InferenceFailed):
    """Nobody could be asked for the policy's answer; it may be asked again."""
