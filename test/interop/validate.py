"""Runs UserLand's validator1 and interopEchoTests against a relay, with nothing but Python's standard library: validate.py URL. Fails at the first wrong answer."""
import datetime
import random
import sys
import xmlrpc.client

relay = xmlrpc.client.ServerProxy(sys.argv[1] + '/RPC2', use_builtin_types=True)
validator1 = relay.validate.validator1
echo = relay.validate.interopEchoTests
# The same values in every run.
random = random.Random(1999)


def expect(found, wanted):
    assert found == wanted and type(found) is type(wanted), f'found {found!r}, wanted {wanted!r}'


def number():
    return random.randint(-(2**20), 2**20)


def text():
    return ''.join(random.choice('abc <>&\'"\u00e9\u6f22\U0001f40d\n') for _ in range(random.randrange(40)))


def stooges():
    return {'moe': number(), 'larry': number(), 'curly': number()}


def sample():
    return {'varString': text(), 'varInt': number(), 'varFloat': random.uniform(-1e6, 1e6)}


WHEN = datetime.datetime(2001, 4, 10, 12, 0, 1)

for _ in range(10):
    structs = [stooges() for _ in range(random.randrange(20))]
    expect(validator1.arrayOfStructsTest(structs), sum(one['curly'] for one in structs))
    string = text()
    names = {'ctLeftAngleBrackets': '<', 'ctRightAngleBrackets': '>', 'ctAmpersands': '&', 'ctApostrophes': "'", 'ctQuotes': '"'}
    expect(validator1.countTheEntities(string), {name: string.count(char) for name, char in names.items()})
    one = stooges()
    expect(validator1.easyStructTest(one), sum(one.values()))
    nested = {'substruct%d' % n: stooges() for n in range(10)}
    expect(validator1.echoStructTest(nested), nested)
    many = [number(), True, text(), 1.0, WHEN, bytes(range(256))]
    expect(validator1.manyTypesTest(*many), many)
    expect([type(value) for value in validator1.manyTypesTest(*many)], [type(value) for value in many])
    strings = [text() for _ in range(random.randint(100, 200))]
    expect(validator1.moderateSizeArrayCheck(strings), strings[0] + strings[-1])
    years = {str(year): {'%02d' % month: {'%02d' % day: {} for day in range(1, 32)} for month in range(1, 13)} for year in range(1999, 2002)}
    years['2000']['04']['01'] = one
    expect(validator1.nestedStructTest(years), sum(one.values()))
    times = number() // 1000
    expect(validator1.simpleStructReturnTest(times), {'times10': times * 10, 'times100': times * 100, 'times1000': times * 1000})
print('validator1 ok')

for value, name in [
    (text(), 'String'),
    (number(), 'Integer'),
    (2.0, 'Float'),
    (False, 'Boolean'),
    (sample(), 'Struct'),
    (WHEN, 'Date'),
    (bytes(range(256)), 'Base64'),
    ([sample(), text(), number()], 'Value'),
    ([text() for _ in range(9)], 'StringArray'),
    ([number() for _ in range(9)], 'IntegerArray'),
    ([0.5, 2.0, -1e300], 'FloatArray'),
    ([sample() for _ in range(9)], 'StructArray'),
]:
    expect(getattr(echo, 'echo' + name)(value), value)
expect(echo.noInParams(), 42)
expect(sorted(echo.whichToolkit()), ['toolkitDocsUrl', 'toolkitName', 'toolkitOperatingSystem', 'toolkitVersion'])
print('interopEchoTests ok')
