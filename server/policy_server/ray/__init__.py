"""Engine RayServe: policies answer in processes of Ray, of one machine or many; everything else stays as it is.

Each policy is a deployment of Ray Serve, whose replicas run its model and know nothing else (`replica.py`). Where
requests arrive, the same application and the same graph have policies that ask those (`remote.py`). On one machine,
requests arrive in the same process as ever (`one_machine.py`); on many, in replicas of one more deployment
(`application.py`), which keep what routers learn in one actor (`store.py`).
"""
