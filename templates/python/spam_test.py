"""Tests of ham.spam: they start it as the relay does, and play the relay."""
import os
import subprocess
import sys
import threading
import unittest
from xmlrpc.client import ServerProxy
from xmlrpc.server import SimpleXMLRPCServer

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'spam.py')


class SatelliteTest(unittest.TestCase):
    def setUp(self):
        self.sent = []
        self.relay = SimpleXMLRPCServer(('127.0.0.1', 0), logRequests=False)
        self.relay.register_function(lambda message: self.sent.append(message) or True, 'relay.relay')
        threading.Thread(target=self.relay.serve_forever, daemon=True).start()
        environment = {**os.environ, 'CO2_PLUGIN_NAME': 'ham.spam', 'CO2_RELAY_URL': f'http://127.0.0.1:{self.relay.server_address[1]}'}
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
        self.assertEqual(method['name'], 'ham.spam.add')

    def test_adds_two_numbers(self):
        self.assertEqual(getattr(self.satellite, 'ham.spam.add')(2, 3), 5)

    def test_answers_only_pings(self):
        self.assertTrue(self.satellite.notify({'host_id': 'ann@192.0.2.7:2004', 'data': 'hello'}))
        self.assertTrue(self.satellite.notify({'host_id': 'ann@192.0.2.7:2004', 'data': 'ping'}))
        self.assertEqual(self.sent, [{'data': {'pong': 'ann@192.0.2.7:2004'}}])

    def test_stops_on_request(self):
        self.assertTrue(self.satellite.plugin.stop())
        self.satellite('close')()
        self.assertEqual(self.program.wait(5), 0)


if __name__ == '__main__':
    unittest.main()
