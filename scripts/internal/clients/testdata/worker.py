"""Calls a resource on many threads until standard input ends, then five times more on each, and prints the outcomes.

Arguments: the service's URL, the resource's, the number of threads.
"""

import sys
import threading

import requests
from tokenvend import Client
from tokenvend.requests import TokenvendAuth

service, resource, callers = sys.argv[1], sys.argv[2], int(sys.argv[3])
auth = TokenvendAuth("creative-force", client=Client(service))
started, ended = threading.Barrier(callers + 1), threading.Event()
outcomes = []


def call() -> None:
    with requests.Session() as session:

        def once() -> None:
            try:
                outcomes.append(session.get(resource, auth=auth, timeout=30).status_code)
            except Exception as error:
                outcomes.append(type(error).__name__)

        once()
        started.wait()
        while not ended.is_set():
            once()
        for _ in range(5):
            once()


threads = [threading.Thread(target=call) for _ in range(callers)]
for thread in threads:
    thread.start()
started.wait()
print("started", flush=True)
sys.stdin.read()
ended.set()
for thread in threads:
    thread.join()
print(outcomes.count(200), [outcome for outcome in outcomes if outcome != 200])
