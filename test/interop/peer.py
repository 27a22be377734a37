"""A peer that is nothing but Python's SimpleXMLRPCServer with notify: prints its port, then each dict as a line of JSON."""
import json
import sys
from xmlrpc.server import SimpleXMLRPCServer

server = SimpleXMLRPCServer(('127.0.0.1', int(sys.argv[1]) if len(sys.argv) > 1 else 0), logRequests=False)


def notify(message):
    print(json.dumps(message, sort_keys=True), flush=True)
    return True


server.register_function(notify)
print(f'port {server.server_address[1]}', flush=True)
server.serve_forever()
