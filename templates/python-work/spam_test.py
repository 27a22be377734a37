"""Tests of ham.spam: they start it as the relay does, and play the relay."""
import os
import queue
import subprocess
import sys
import threading
import unittest
from xmlrpc.client import Binary, Fault, ServerProxy
from xmlrpc.server import SimpleXMLRPCServer

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'spam.py')


class WorkTest(unittest.TestCase):
    def setUp(self):
        self.pushes = queue.Queue()
        self.wants_more = True
        self.relay = SimpleXMLRPCServer(('127.0.0.1', 0), logRequests=False)
        self.relay.register_function(self.push_items, 'relay.push_items')
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

    def push_items(self, stream, items, options={}):
        self.pushes.put((stream, items, options))
        return self.wants_more

    def execute(self, kind, payload, params={}):
        job = {'unit': 'u1', 'stream': 's1', 'params': params, 'submitter': 'a test', 'payload': Binary(payload)}
        return self.satellite.plugin.execute(kind, job)

    def test_describes_its_work(self):
        [work] = self.satellite.plugin.describe()['work']
        self.assertEqual(work['type'], 'ham.spam:count')

    def test_counts_the_words_of_each_line(self):
        self.assertTrue(self.execute('ham.spam:count', b'one two\nthree'))
        pushed = [self.pushes.get(timeout=5) for _ in range(3)]
        self.assertEqual([items for _, items, _ in pushed], [[{'line': 'one two', 'words': 2}], [{'line': 'three', 'words': 1}], []])
        self.assertEqual([options for _, _, options in pushed], [{}, {}, {'end': True}])

    def test_fails_with_a_reason(self):
        self.execute('ham.spam:count', b'\xff')
        self.assertIn('decode', self.pushes.get(timeout=5)[2]['error'])

    def test_ends_when_no_more_is_wanted(self):
        self.wants_more = False
        self.execute('ham.spam:count', b'one\ntwo')
        self.pushes.get(timeout=5)
        with self.assertRaises(queue.Empty):
            self.pushes.get(timeout=0.3)
        self.assertTrue(self.satellite.plugin.cancel('s1'))

    def test_refuses_what_it_does_not_know(self):
        with self.assertRaisesRegex(Fault, 'no work ham.spam:fry'):
            self.execute('ham.spam:fry', b'')
        with self.assertRaisesRegex(Fault, 'least'):
            self.execute('ham.spam:count', b'', {'least': 1})

    def test_stops_on_request(self):
        self.assertTrue(self.satellite.plugin.stop())
        self.satellite('close')()
        self.assertEqual(self.program.wait(5), 0)


if __name__ == '__main__':
    unittest.main()
