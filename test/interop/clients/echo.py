"""Python's xmlrpc.client: echo.py URL SHAPE. Fails at the first answer that is not as expected."""
import datetime
import sys
import xmlrpc.client

url, shape = sys.argv[1:]
relay = xmlrpc.client.ServerProxy(url + '/RPC2', use_builtin_types=True)
echo = relay.interop.echo


def expect(found, wanted):
    assert found == wanted and type(found) is type(wanted), f'found {found!r}, wanted {wanted!r}'


expect('interop.echo.any' in relay.system.listMethods(), True)
expect(relay.system.methodSignature('interop.echo.double'), [['double', 'double']])
expect(relay.system.methodHelp('interop.echo.any'), 'Answers its parameter.')
print('introspection ok')

value = {
    'bytes': bytes([0, 1, 10, 13, 254, 255]),
    'doubles': [0.1, -2.5, 1048576.125],
    'flags': [True, False],
    'ints': [0, -1, 2147483647, -2147483648],
    'nested': {'inner': {'deep': [1, [2, [3, []]], {}]}, 'list': [{'a': 'b'}, {'a': 'c'}]},
    'text': 'h\u00e9 \u6f22 <&> ]]> "q" \'\n\t',
    'when': datetime.datetime(2024, 2, 3, 4, 5, 6),
}
expect(echo.shape(value), shape)
expect(echo.any(value), value)
expect(echo.double(1.0), 1.0)
expect(echo.any('\U0001f40d'), '\U0001f40d')
print('values ok')

try:
    echo.fail(42, 'no <such> room & h\u00e9')
    raise AssertionError('no fault')
except xmlrpc.client.Fault as fault:
    expect([fault.faultCode, fault.faultString], [42, 'no <such> room & h\u00e9'])
try:
    relay.no.such.method()
    raise AssertionError('no fault')
except xmlrpc.client.Fault as fault:
    expect(fault.faultCode, -32601)
print('faults ok')
