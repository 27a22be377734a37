"""Reads documents as xmlrpc.client does, and writes what it read: per line of stdin one document in base64, per line of stdout [description, document]."""
import base64
import datetime
import json
import sys
import xmlrpc.client


def dump_int(self, value, write):
    # Python reads i8 but refuses to write it.
    tag = 'int' if -2**31 <= value < 2**31 else 'i8'
    write(f'<value><{tag}>{value}</{tag}></value>\n')


xmlrpc.client.Marshaller.dispatch[int] = dump_int


def describe(value):
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return ['int', str(value)]
    if isinstance(value, float):
        return ['double', repr(value)]
    if isinstance(value, bytes):
        return ['bytes', base64.b64encode(value).decode()]
    if isinstance(value, datetime.datetime):
        return ['date', value.isoformat()]
    if isinstance(value, list):
        return ['array', *map(describe, value)]
    return ['struct', *([name, describe(member)] for name, member in value.items())]


for line in sys.stdin:
    try:
        params, method = xmlrpc.client.loads(base64.b64decode(line), use_builtin_types=True)
        document = xmlrpc.client.dumps(params, method, allow_none=True, encoding='utf-8').encode()
        print(json.dumps([describe(params[0]), base64.b64encode(document).decode()]), flush=True)
    except Exception as error:
        print(json.dumps([f'{type(error).__name__}: {error}', '']), flush=True)
