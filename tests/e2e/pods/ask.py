"""Sends one request from inside the cluster: {"url", "body", "headers"} comes in, {"status", "body"} goes out."""

import json
import sys
import urllib.error
import urllib.request

question = json.load(sys.stdin)
data = None if question["body"] is None else json.dumps(question["body"]).encode()
headers = {"Content-Type": "application/json"} | question["headers"]
try:
    with urllib.request.urlopen(urllib.request.Request(question["url"], data, headers), timeout=30) as response:
        answer = {"status": response.status, "body": response.read().decode()}
except urllib.error.HTTPError as error:
    answer = {"status": error.code, "body": error.read().decode()}
except OSError as error:
    answer = {"status": 0, "body": str(error)}
print(json.dumps(answer))
