"""Seconds that Python's expat-based reader takes for each file that is named, as a JSON list: the best of what fits in a second."""
import json
import sys
import time
import xmlrpc.client

times = []
for name in sys.argv[1:]:
    with open(name, 'rb') as file:
        body = file.read()
    best = float('inf')
    until = time.perf_counter() + 1
    while best == float('inf') or time.perf_counter() < until:
        start = time.perf_counter()
        xmlrpc.client.loads(body)
        best = min(best, time.perf_counter() - start)
    times.append(best)
print(json.dumps(times))
