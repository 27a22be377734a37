#!/usr/bin/env python3
"""A watcher for co2-relay: the nodes of a service are the lines of a file, `name host port`. It reads the file every second."""
import os, sys, threading
from xmlrpc.client import Fault, ServerProxy
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

if 'CO2_PLUGIN_TOKEN' not in os.environ:
    sys.exit('a program of co2-relay: name it under programs in config.ts')
name = os.environ['CO2_PLUGIN_NAME']
files, closed = {}, {}

def accept(type, order):  # It may refuse the configuration of the service; it starts nothing.
    if not os.path.isfile(order['config'].get('file', '')):
        raise Fault(1, 'cfg.file must be the path of a file')
    files[order['endpoint']], closed[order['endpoint']] = order['config']['file'], threading.Event()
    return True

def watch(endpoint, stream):
    relay, wanted = ServerProxy(os.environ['CO2_RELAY_URL']), True
    while wanted:  # A list is all nodes; the relay finds out what has changed.
        with open(files[endpoint]) as lines:
            rows = [line.split() for line in lines if line.strip()]
        nodes = [{'name': node, 'status': 'up', 'host': host, 'port': int(port)} for node, host, port in rows]
        wanted = relay.relay.push_items(stream, [nodes]) and not closed[endpoint].wait(1)

class Handler(SimpleXMLRPCRequestHandler):
    rpc_paths = ('/' + os.environ['CO2_PLUGIN_TOKEN'],)

server = SimpleXMLRPCServer(('127.0.0.1', 0), Handler, logRequests=False)
for method, function in {
        'plugin.describe': lambda: {'watchers': [{'type': name + ':file', 'help': 'Nodes in the lines of a file.'}]},
        'plugin.accept': accept,
        'plugin.open': lambda endpoint, options: threading.Thread(target=watch, args=(endpoint, options['stream']), daemon=True).start() or True,
        'plugin.close': lambda endpoint: closed[endpoint].set() or True,
        'plugin.push_version': lambda version: True, 'plugin.get_version': lambda: {'version': '1.0.0'},
        'plugin.setup': lambda config: True, 'ping': lambda: True, 'plugin.stop': lambda: os._exit(0)}.items():
    server.register_function(function, method)
print('co2|1|http|127.0.0.1:%d|%s' % (server.server_address[1], Handler.rpc_paths[0]), flush=True)
server.serve_forever()
