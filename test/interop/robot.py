"""Talks to /robot as the Remote library of Robot Framework does, with nothing but Python's standard library: robot.py URL."""
import datetime
import re
import sys
import xmlrpc.client

CONTROL = re.compile('[\x00-\x08\x0b\x0c\x0e-\x1f]')
relay = xmlrpc.client.ServerProxy(sys.argv[1] + '/robot', encoding='UTF-8')


def expect(found, wanted):
    assert found == wanted, f'found {found!r}, wanted {wanted!r}'


def coerce(value):
    """Arguments: what XML cannot carry as bytes, keys and whatever is nothing else as text, None as an empty one."""
    if isinstance(value, str):
        return xmlrpc.client.Binary(value.encode('latin-1')) if CONTROL.search(value) else value
    if isinstance(value, (bytes, bytearray)):
        return xmlrpc.client.Binary(bytes(value))
    if isinstance(value, (bool, int, float, datetime.datetime)):
        return value
    if isinstance(value, dict):
        return {str(key): coerce(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [coerce(item) for item in value]
    return '' if value is None else coerce(str(value))


def convert(value):
    """Results: bytes instead of Binary, at any depth."""
    if isinstance(value, xmlrpc.client.Binary):
        return bytes(value.data)
    if isinstance(value, dict):
        return {key: convert(item) for key, item in value.items()}
    if isinstance(value, list):
        return [convert(item) for item in value]
    return value


def run(name, args, kwargs=None):
    params = [name, coerce(args)] + ([coerce(kwargs)] if kwargs else [])
    result = relay.run_keyword(*params)
    assert isinstance(result, dict) and 'status' in result
    for member in ('output', 'error', 'traceback'):
        assert isinstance(result[member], str), member
    if result['status'] != 'PASS':
        assert (result['fatal'], result['continuable']) == (False, False)
        raise RuntimeError(result['error'])
    return convert(result['return'])


def failure(name, args):
    try:
        run(name, args)
    except RuntimeError as error:
        return str(error)
    raise AssertionError('it passed')


info = relay.get_library_information()
names = [name for name in info if not (name[:2] == '__' and name[-2:] == '__')]
expect(sorted(names), relay.get_keyword_names())
for name in names:
    one = info[name]
    expect(one['args'], relay.get_keyword_arguments(name))
    expect(one['types'], relay.get_keyword_types(name))
    expect(one['doc'], relay.get_keyword_documentation(name))
    expect(one['tags'], relay.get_keyword_tags(name))
assert info['__intro__']['doc'] and info['__init__']['doc'] == ''
expect(info['ham.spam.add'], {'args': ['arg1', 'arg2'], 'types': {'arg1': 'int', 'arg2': 'int'}, 'doc': 'Adds.', 'tags': ['ham.spam', 'call']})
print('keywords ok')

expect(run('ham.spam.add', [2, 3]), 5)
expect(run('Ham.Spam.Add', (2, 3)), 5)
nested = {'list': [1, {'deep': [b'\x00\xff', 2.5, True]}], 7: 'seven', 'none': None, 'text': 'snake \U0001f40d <&>'}
expect(run('ham.spam.echo', [nested]), [{**{k: v for k, v in nested.items() if k != 7}, '7': 'seven', 'none': ''}])
expect(run('ham.spam.echo', ['bell \x07']), [b'bell \x07'])
expect(run('ham.spam.shout', ['bell \x07']), 'BELL ?')
when = datetime.datetime(2024, 2, 3, 4, 5, 6)
expect(run('ham.spam.echo', [when]), [xmlrpc.client.DateTime(when)])
expect(run('ham.spam.echo', [1], {'color': 'red'}), [1, {'color': 'red'}])
expect(run('ham.spam.nothing', []), None)
expect(run('ham.spam.big', []), 2 ** 60)
print('runs ok')

expect(failure('ham.spam.faults', []), 'no such room')
assert re.fullmatch(r"ham\.spam\.breaks failed \(error [0-9a-f]{8}\): the log of the plugin has the reason \(co2 plugin log ham\.spam\)", failure('ham.spam.breaks', []))
assert 'no keyword' in failure('no.such', [])
assert 'signature' in failure('ham.spam.add', ['x'])
for method in ('stop_remote_server', 'get_keyword_source'):
    try:
        getattr(relay, method)('ham.spam.add')
    except xmlrpc.client.Fault as fault:
        expect(fault.faultCode, -32601)
    else:
        raise AssertionError(method)
print('failures ok')
