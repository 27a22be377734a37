#!/usr/bin/env python3
"""A reactor for co2-relay: it keeps the nodes of a service that are up in a file, one `name host port` in each line."""
import os, sys
from xmlrpc.client import Fault
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

if 'CO2_PLUGIN_TOKEN' not in os.environ:
    sys.exit('a program of co2-relay: name it under programs in config.ts')
name = os.environ['CO2_PLUGIN_NAME']
files, nodes = {}, {}

def accept(type, order):  # It may refuse the configuration of the service; it starts nothing.
    if not os.path.isabs(order['config'].get('file', '')):
        raise Fault(1, 'cfg.file must be an absolute path')
    files[order['endpoint']], nodes[order['endpoint']] = order['config']['file'], {}
    return True

def event(endpoint, changes):  # Each change has the nodes that are new, or different; the first one has all.
    for change in changes:
        nodes[endpoint].update(change)
    up = [node for _, node in sorted(nodes[endpoint].items()) if node['status'] == 'up']
    with open(files[endpoint] + '.new', 'w') as lines:
        lines.writelines('%(name)s %(host)s %(port)d\n' % node for node in up)
    os.replace(files[endpoint] + '.new', files[endpoint])
    return True

class Handler(SimpleXMLRPCRequestHandler):
    rpc_paths = ('/' + os.environ['CO2_PLUGIN_TOKEN'],)

server = SimpleXMLRPCServer(('127.0.0.1', 0), Handler, logRequests=False)
for method, function in {
        'plugin.describe': lambda: {'reactors': [{'type': name + ':file', 'help': 'Writes the nodes that are up into a file.'}]},
        'plugin.accept': accept, 'plugin.open': lambda endpoint, options: True, 'plugin.event': event,
        'plugin.close': lambda endpoint: nodes.pop(endpoint, None) is not None or True,
        'plugin.push_version': lambda version: True, 'plugin.get_version': lambda: {'version': '1.0.0'},
        'plugin.setup': lambda config: True, 'ping': lambda: True, 'plugin.stop': lambda: os._exit(0)}.items():
    server.register_function(function, method)
print('co2|1|http|127.0.0.1:%d|%s' % (server.server_address[1], Handler.rpc_paths[0]), flush=True)
server.serve_forever()
