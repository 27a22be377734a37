"""Python's allow_none client: none.py URL. A None in an answer is read where the URL says so; else there is a fault that says how."""
import sys
import xmlrpc.client

url = sys.argv[1]
expected = {'name': 'ann', 'since': None}


def fault(call, *params):
    try:
        call(*params)
    except xmlrpc.client.Fault as error:
        return error
    raise AssertionError('no fault')


plain = xmlrpc.client.ServerProxy(url + '/', allow_none=True)
error = fault(plain.interop.echo.gap)
assert error.faultCode == -32603, error
assert error.faultString.startswith('interop.echo.gap: result.since: null cannot be written'), error
assert '?nil=1' in error.faultString, error
print('fault ok')

for proxy in (
    xmlrpc.client.ServerProxy(url + '/?nil=1', allow_none=True),
    xmlrpc.client.ServerProxy(url + '/RPC2?nil=1', allow_none=True),
    xmlrpc.client.ServerProxy(url + '/', allow_none=True, headers=[('Accept-XMLRPC-Extensions', 'nil')]),
):
    assert proxy.interop.echo.gap() == expected
    calls = xmlrpc.client.MultiCall(proxy)
    calls.ping()
    calls.interop.echo.gap()
    assert list(calls()) == [True, expected]
assert plain.interop.echo.any({'since': None}) == {'since': None}
print('nil ok')
