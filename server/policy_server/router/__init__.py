"""Which policy answers: weights, bandits that learn from rewards, episodes that stay with their policy.

The core, without any transport. `Router` decides, in microseconds, from a snapshot of what was learned; a `Store` keeps
what is learned, for one process or for many; `Exchange` moves between them off the requests' path; `Feedback` takes
rewards.
"""
