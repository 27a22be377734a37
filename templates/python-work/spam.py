#!/usr/bin/env python3
"""ham.spam: describe here what it does. The relay starts this program ('programs' in config.ts), which does units of work for it."""
import os
import secrets
import sys
import threading
from xmlrpc.client import Fault, ServerProxy
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

NAME = os.environ.get('CO2_PLUGIN_NAME', '')
if not NAME:
    sys.exit("ham.spam is a satellite that co2-relay starts: add it to 'programs' in config.ts")


def count(payload):
    """Counts the words of each line of the payload. A text like this one is shown by co2 work types."""
    for line in payload.decode().split('\n'):
        # Each yield is one result: a dictionary, a text or bytes.
        yield {'line': line, 'words': len(line.split())}


WORK = {f'{NAME}:count': count}
canceled = {}


def run(work, job):
    """Does one unit in a thread of its own. The answer to each push is the permission for the next."""
    stream = job['stream']
    # Not shared between threads, since a proxy has one connection.
    relay = ServerProxy(os.environ['CO2_RELAY_URL']).relay
    try:
        for result in work(job['payload'].data):
            if canceled[stream].is_set() or not relay.push_items(stream, [result]):
                return
        relay.push_items(stream, [], {'end': True})
    except Exception as error:
        relay.push_items(stream, [], {'error': str(error) or type(error).__name__})
    finally:
        del canceled[stream]


def execute(kind, job):
    if kind not in WORK:
        raise Fault(-32602, f'there is no work {kind}')
    if job['params']:
        raise Fault(-32602, f"{kind} takes no parameters, but got {', '.join(job['params'])}")
    canceled[job['stream']] = threading.Event()
    threading.Thread(target=run, args=(WORK[kind], job), daemon=True).start()
    return True


def cancel(stream):
    if stream in canceled:
        canceled[stream].set()
    return True


def describe():
    work = [{'type': kind, 'help': function.__doc__, 'max_concurrent': 2} for kind, function in WORK.items()]
    return {'capabilities': ['work'], 'work': work}


def stop():
    server.should_stop = True
    return True


class Handler(SimpleXMLRPCRequestHandler):
    # A secret path keeps out the other users of this machine.
    rpc_paths = ('/' + secrets.token_urlsafe(16),)


server = SimpleXMLRPCServer(('127.0.0.1', 0), Handler, logRequests=False)
server.should_stop = False
server.register_function(lambda *_: True, 'ping')
server.register_function(lambda _relay_version: True, 'plugin.push_version')
server.register_function(lambda: {'version': '0.1.0'}, 'plugin.get_version')
server.register_function(describe, 'plugin.describe')
server.register_function(lambda _config: True, 'plugin.setup')
server.register_function(execute, 'plugin.execute')
server.register_function(cancel, 'plugin.cancel')
server.register_function(stop, 'plugin.stop')
print(f'co2|1|http|127.0.0.1:{server.server_address[1]}|{Handler.rpc_paths[0]}', flush=True)
while not server.should_stop:
    server.handle_request()
