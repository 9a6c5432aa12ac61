"""The SDKs that a server may have."""

from enum import StrEnum


class ClientLanguage(StrEnum):
    """The language of an SDK."""

    PYTHON = "python"
    JAVA = "java"
    SCALA = "scala"
    R = "r"
    TYPESCRIPT = "typescript"
