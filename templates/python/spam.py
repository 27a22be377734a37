#!/usr/bin/env python3
"""ham.spam: describe here what it does. The relay starts this satellite ('programs' in config.ts) and calls it."""
import inspect
import os
import secrets
import sys
from xmlrpc.client import ServerProxy
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

NAME = os.environ.get('CO2_PLUGIN_NAME', '')
if not NAME:
    sys.exit("ham.spam is a satellite that co2-relay starts: add it to 'programs' in config.ts")
relay = ServerProxy(os.environ['CO2_RELAY_URL'])


def notify(message):
    """Called for each dict of the network."""
    if message['data'] == 'ping':
        relay.relay.relay({'data': {'pong': message['host_id']}})
    return True


def add(a, b):
    """Adds two numbers."""
    return a + b


METHODS = {f'{NAME}.add': (add, [['int', 'int', 'int']])}


def describe():
    methods = [
        {'name': name, 'help': method.__doc__, 'signature': signature, 'params': list(inspect.signature(method).parameters)}
        for name, (method, signature) in METHODS.items()
    ]
    return {'capabilities': ['receive', 'exposed'], 'methods': methods}


def stop():
    server.should_stop = True
    return True


class Handler(SimpleXMLRPCRequestHandler):
    # A secret path keeps out the other users of this machine.
    rpc_paths = ('/' + secrets.token_urlsafe(16),)


server = SimpleXMLRPCServer(('127.0.0.1', 0), Handler, logRequests=False)
server.should_stop = False
for name, (method, _) in METHODS.items():
    server.register_function(method, name)
server.register_function(notify)
server.register_function(lambda *_: True, 'ping')
server.register_function(lambda _relay_version: True, 'plugin.push_version')
server.register_function(lambda: {'version': '0.1.0'}, 'plugin.get_version')
server.register_function(describe, 'plugin.describe')
server.register_function(lambda _config: True, 'plugin.setup')
server.register_function(stop, 'plugin.stop')
print(f'co2|1|http|127.0.0.1:{server.server_address[1]}|{Handler.rpc_paths[0]}', flush=True)
while not server.should_stop:
    server.handle_request()
