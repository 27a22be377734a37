/** A satellite in Python, of its standard library alone, and its test. */
import { fileOf } from './new-plugin.ts';
import type { NewFile, NewPlugin } from './new-plugin.ts';

export function pythonFiles({ path, module }: NewPlugin): readonly NewFile[] {
  // unittest imports its files by name, and a name in Python has no "-".
  const test = `${path.replace(/[^/]+$/, (file) => file.replaceAll('-', '_'))}_test.py`;
  return [
    { path: `${path}.py`, source: program(module), isExecutable: true },
    { path: test, source: testOf(module, fileOf(path)) },
  ];
}

function program(module: string): string {
  return `#!/usr/bin/env python3
"""${module}: say here what it is for. A satellite that the relay starts (config.ts: programs)."""
import os
import secrets
import sys
from xmlrpc.client import ServerProxy
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

NAME = os.environ.get('CO2_PLUGIN_NAME', '')
if not NAME:
    sys.exit("${module} is a satellite of co2-relay, which starts it: name it under 'programs' in config.ts")
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
    methods = [{'name': name, 'help': method.__doc__, 'signature': signature} for name, (method, signature) in METHODS.items()]
    return {'capabilities': ['receive', 'exposed'], 'methods': methods}


def stop():
    server.should_stop = True
    return True


class Handler(SimpleXMLRPCRequestHandler):
    # Other users of this machine do not know it.
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
`;
}

function testOf(module: string, file: string): string {
  return `"""Tests of ${module}: starts it as the relay does, and plays the relay."""
import os
import subprocess
import sys
import threading
import unittest
from xmlrpc.client import ServerProxy
from xmlrpc.server import SimpleXMLRPCServer

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), '${file}.py')


class SatelliteTest(unittest.TestCase):
    def setUp(self):
        self.sent = []
        self.relay = SimpleXMLRPCServer(('127.0.0.1', 0), logRequests=False)
        self.relay.register_function(lambda message: self.sent.append(message) or True, 'relay.relay')
        threading.Thread(target=self.relay.serve_forever, daemon=True).start()
        environment = {**os.environ, 'CO2_PLUGIN_NAME': '${module}', 'CO2_RELAY_URL': f'http://127.0.0.1:{self.relay.server_address[1]}'}
        self.program = subprocess.Popen([sys.executable, PROGRAM], env=environment, stdout=subprocess.PIPE, text=True)
        mark, version, form, place, path = self.program.stdout.readline().strip().split('|')
        self.assertEqual((mark, version, form), ('co2', '1', 'http'))
        self.satellite = ServerProxy(f'http://{place}{path}')

    def tearDown(self):
        self.satellite('close')()
        self.program.kill()
        self.program.communicate()
        self.relay.shutdown()
        self.relay.server_close()

    def test_describes_its_methods(self):
        [method] = self.satellite.plugin.describe()['methods']
        self.assertEqual(method['name'], '${module}.add')

    def test_adds_two_numbers(self):
        self.assertEqual(getattr(self.satellite, '${module}.add')(2, 3), 5)

    def test_answers_a_ping_and_nothing_else(self):
        self.assertTrue(self.satellite.notify({'host_id': 'ann@192.0.2.7:2004', 'data': 'hello'}))
        self.assertTrue(self.satellite.notify({'host_id': 'ann@192.0.2.7:2004', 'data': 'ping'}))
        self.assertEqual(self.sent, [{'data': {'pong': 'ann@192.0.2.7:2004'}}])

    def test_ends_when_it_is_told(self):
        self.assertTrue(self.satellite.plugin.stop())
        self.satellite('close')()
        self.assertEqual(self.program.wait(5), 0)


if __name__ == '__main__':
    unittest.main()
`;
}
