"""Talks to a relay with nothing but Python's standard library: client.py URL. Fails at the first answer that is not as expected."""
import datetime
import sys
import xmlrpc.client

url = sys.argv[1]
relay = xmlrpc.client.ServerProxy(url + '/RPC2', use_builtin_types=True, allow_none=True)


def expect(found, wanted):
    assert found == wanted, f'found {found!r}, wanted {wanted!r}'


def fault(call, *params):
    try:
        call(*params)
    except xmlrpc.client.Fault as error:
        return error
    raise AssertionError('no fault')


names = relay.system.listMethods()
expect(names, relay.co2.get_method_names())
assert 'example.echo.add' in names and 'notify' in names and names == sorted(names)
expect(relay.system.methodHelp('example.echo.add'), 'Adds two integers.')
expect(relay.co2.get_method_help('example.echo.add'), 'Adds two integers.')
expect(relay.system.methodSignature('example.echo.add'), [['int', 'int', 'int']])
print('introspection ok')

expect(relay.example.echo.add(2, 3), 5)
expect(relay.example.echo.say('snake \U0001f40d \u00e9 <&> ]]>\n'), 'snake \U0001f40d \u00e9 <&> ]]>\n')
print('calls ok')

value = {
    'nested': [{'a': [1, [2, [3, []]]]}, {}],
    'when': datetime.datetime(2024, 2, 3, 4, 5, 6),
    'bytes': bytes(range(256)),
    'doubles': [0.1, -1e300, 5e-324, 2.5],
    'yes': True,
    'none': None,
    'big': 2**31 - 1,
    '\u05d0\u0308': '',
    '__proto__': {'constructor': 1},
}
expect(relay.test(value), value)
print('values ok')

error = fault(relay.no.such.method)
expect(error.faultCode, -32601)
expect(fault(relay.example.echo.add, 1, 'two').faultCode, -32602)
expect(fault(relay.notify, {'data': 1, 'host_id': 'x@10.0.0.1:1'}).faultCode, 403)
expect(fault(relay.__getattr__('__proto__')).faultCode, -32601)
print('faults ok')

calls = xmlrpc.client.MultiCall(relay)
calls.example.echo.add(20, 22)
calls.ping()
calls.no.such.method()
results = calls()
expect([results[0], results[1]], [42, True])
try:
    results[2]
    raise AssertionError('no fault in the multicall')
except xmlrpc.client.Fault as error:
    expect(error.faultCode, -32601)
print('multicall ok')

expect(relay.notify({'data': {'chat': {'nick': 'py', 'text': 'h\u00e9llo'}}}), True)
print('notify ok')
