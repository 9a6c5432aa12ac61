"""What should exist for a PolicyServer: pure functions that return plain Kubernetes objects."""

from policy_operator.desired.children import Desired, desired_objects

__all__ = ["Desired", "desired_objects"]
