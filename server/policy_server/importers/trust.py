"""What is said where a file would run code and nobody vouched for it."""

from policy_server.errors import ImportFailed


def require_trust(trust: bool, what: str) -> None:
    """Raises ImportFailed unless `trust`.

    Args:
        trust: whether somebody said that code in the file may be run.
        what: the kind of file, such as `a file of Stable-Baselines3`.
    """
    if not trust:
        raise ImportFailed(
            f"{what} runs code stored in the file when it is loaded: say `trust: true` on the policy (policyserver"
            " import: --trust) if you trust whoever made it"
        )
