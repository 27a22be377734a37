"""A satellite in Python's standard library: python3 examples/satellites/python/satellite.py http://127.0.0.1:2004 hello"""
import sys
import threading
from xmlrpc.client import ServerProxy
from xmlrpc.server import SimpleXMLRPCServer

relay_url, text = sys.argv[1:3] if len(sys.argv) > 2 else ('http://127.0.0.1:2004', 'hello')
server = SimpleXMLRPCServer(('0.0.0.0', 0), logRequests=False)


def notify(message):
    print(f"notified by {message['host_id']}: {message['data']}", flush=True)
    return True


server.register_function(notify)
server.register_function(lambda *_: True, 'ping')
threading.Thread(target=server.serve_forever, daemon=True).start()
relay = ServerProxy(relay_url)
record = relay.relay.register({'port': server.server_address[1], 'nick': 'python'})
print(f"registered as {record['host_id']}", flush=True)
relay.relay.relay({'data': text, 'co2': {'token': record['token']}})
try:
    threading.Event().wait()
except KeyboardInterrupt:
    relay.relay.unregister({'token': record['token']})
    print('unregistered', flush=True)
