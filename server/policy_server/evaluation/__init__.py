"""What decision logs say afterwards: the value of each policy and of mixes of them, and data for offline learning.

Never loaded where requests are served.
"""
