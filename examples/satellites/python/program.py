#!/usr/bin/env python3
"""A satellite in Python that a relay runs, a server of the standard library: answers pings, and adds two numbers."""
import os
import sys
from xmlrpc.client import ServerProxy
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

token, name = os.environ.get('CO2_PLUGIN_TOKEN'), os.environ.get('CO2_PLUGIN_NAME')
if token is None:
    sys.exit("A satellite of co2-relay, which runs it: programs: [{ name: 'py.adder', exec: './program.py' }] in config.ts")
relay = ServerProxy(os.environ['CO2_RELAY_URL'])


def notify(message):
    if message['data'] == 'ping':
        relay.relay.relay({'data': {'pong': name}})
    return True


def stop():
    server.is_stopping = True
    return True


class Handler(SimpleXMLRPCRequestHandler):
    rpc_paths = (f'/{token}',)


server = SimpleXMLRPCServer(('127.0.0.1', 0), Handler, logRequests=False)
server.is_stopping = False
add = {'name': f'{name}.add', 'help': 'Adds two integers.', 'signature': [['int', 'int', 'int']]}
server.register_function(lambda: {'capabilities': ['receive', 'exposed'], 'methods': [add]}, 'plugin.describe')
server.register_function(lambda a, b: a + b, f'{name}.add')
server.register_function(notify)
server.register_function(lambda: True, 'ping')
server.register_function(stop, 'plugin.stop')
print(f'co2|1|http|127.0.0.1:{server.server_address[1]}|/{token}', flush=True)
while not server.is_stopping:
    server.handle_request()
