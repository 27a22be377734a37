"""A server of Python's standard library, with a thread for each connection. Prints its port."""
import socketserver
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer


class Handler(SimpleXMLRPCRequestHandler):
    # Keeps connections open, which is not the default.
    protocol_version = 'HTTP/1.1'


class Server(socketserver.ThreadingMixIn, SimpleXMLRPCServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """The load resets its connections at the end."""


server = Server(('127.0.0.1', 0), requestHandler=Handler, logRequests=False)
server.register_function(lambda a, b: a + b, 'bench.box.add')
server.register_function(lambda dict: True, 'notify')
print(server.server_address[1], flush=True)
server.serve_forever()
