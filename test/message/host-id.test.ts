/** Which texts are addresses and host_ids, and the one spelling that each has. */
import test from 'ava';
import fc from 'fast-check';
import { canonicalAddress, formatHostId, hostPort, isLoopback, isUnspecified, parseHostId } from '../../src/message/message.ts';

const ADDRESSES: readonly (readonly [text: string, canonical: string | undefined])[] = [
  ['127.0.0.1', '127.0.0.1'],
  ['0.0.0.0', '0.0.0.0'],
  ['255.255.255.255', '255.255.255.255'],
  ['[10.0.0.1]', '10.0.0.1'],
  ['::1', '::1'],
  ['[::1]', '::1'],
  ['0:0:0:0:0:0:0:1', '::1'],
  ['0000:0000:0000:0000:0000:0000:0000:0001', '::1'],
  ['::', '::'],
  ['2001:DB8::1', '2001:db8::1'],
  ['2001:db8:0:0:0:0:0:1', '2001:db8::1'],
  ['2001:0db8::0001', '2001:db8::1'],
  ['::ffff:1.2.3.4', '1.2.3.4'],
  ['[::ffff:1.2.3.4]', '1.2.3.4'],
  ['::FFFF:1.2.3.4', '1.2.3.4'],
  ['::ffff:102:304', '1.2.3.4'],
  ['0:0:0:0:0:ffff:1.2.3.4', '1.2.3.4'],
  ['::ffff:7f00:1', '127.0.0.1'],
  ['fe80::1%eth0', 'fe80::1%eth0'],
  ['fe80::1', 'fe80::1'],
  ['[fe80::1%1]', 'fe80::1%1'],
  ['2001:db8::1%eth0', '2001:db8::1'],
  ['::1%lo', '::1'],
  // No ordinary form: what one reader takes for octal another takes for decimal.
  ['127.1', undefined],
  ['127.0.1', undefined],
  ['2130706433', undefined],
  ['0x7f000001', undefined],
  ['0x7f.0.0.1', undefined],
  ['0177.0.0.1', undefined],
  ['127.0.0.01', undefined],
  ['010.0.0.1', undefined],
  ['::ffff:0x7f.0.0.1', undefined],
  ['::ffff:0177.0.0.1', undefined],
  ['::ffff:010.0.0.1', undefined],
  ['1.2.3.256', undefined],
  ['1.2.3.4.5', undefined],
  ['1.2.3', undefined],
  ['1.2.3.4 ', undefined],
  [' 1.2.3.4', undefined],
  ['1.2.3.4\n', undefined],
  ['1.2.3.-4', undefined],
  ['+1.2.3.4', undefined],
  ['1.2.3.4/8', undefined],
  ['1.2.3.4:80', undefined],
  ['[::1]:80', undefined],
  ['[::1', undefined],
  ['::1]', undefined],
  ['[[::1]]', undefined],
  [':::1', undefined],
  ['1::2::3', undefined],
  ['12345::1', undefined],
  ['g::1', undefined],
  ['1:2:3:4:5:6:7', undefined],
  ['1:2:3:4:5:6:7:8:9', undefined],
  ['localhost', undefined],
  ['example.com', undefined],
  ['', undefined],
  ['[]', undefined],
  ['.', undefined],
  [':', undefined],
  ['１２７.0.0.1', undefined],
  ['127。0。0。1', undefined],
];

for (const [text, canonical] of ADDRESSES) {
  test(`address ${JSON.stringify(text)} is ${canonical ?? 'none'}`, (t) => {
    t.is(canonicalAddress(text), canonical);
  });
}

test('a canonical address is its own canonical form, for any 128 or 32 bits', (t) => {
  const v4 = fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 4, maxLength: 4 }).map((parts) => parts.join('.'));
  const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
  const v6 = fc.array(group, { minLength: 8, maxLength: 8 }).map((parts) => parts.map((part) => part.toString(16)).join(':'));
  fc.assert(
    fc.property(fc.oneof(v4, v6), (text) => {
      const once = canonicalAddress(text);
      t.not(once, undefined);
      t.is(canonicalAddress(once!), once);
      t.is(canonicalAddress(`[${text}]`), once);
      t.is(canonicalAddress(text.toUpperCase()), once);
    }),
  );
});

const HOST_IDS: readonly (readonly [text: string, parts: readonly [random: string, address: string, port: number] | undefined])[] = [
  ['a@1.2.3.4:80', ['a', '1.2.3.4', 80]],
  ['0123456789abcdef@10.0.0.1:2004', ['0123456789abcdef', '10.0.0.1', 2004]],
  ['a@[::1]:80', ['a', '::1', 80]],
  ['a@[2001:DB8:0::1]:80', ['a', '2001:db8::1', 80]],
  ['a@[::ffff:1.2.3.4]:80', ['a', '1.2.3.4', 80]],
  ['a@[fe80::1%eth0]:80', ['a', 'fe80::1%eth0', 80]],
  ['a@1.2.3.4:0', ['a', '1.2.3.4', 0]],
  ['a@1.2.3.4:65535', ['a', '1.2.3.4', 65535]],
  ['a@1.2.3.4:00080', ['a', '1.2.3.4', 80]],
  [`${'x'.repeat(64)}@1.2.3.4:80`, ['x'.repeat(64), '1.2.3.4', 80]],
  ['a:b/c@1.2.3.4:80', ['a:b/c', '1.2.3.4', 80]],
  [`${'x'.repeat(65)}@1.2.3.4:80`, undefined],
  ['a@1.2.3.4:65536', undefined],
  ['a@1.2.3.4:999999', undefined],
  ['a@1.2.3.4:-1', undefined],
  ['a@1.2.3.4:', undefined],
  ['a@1.2.3.4', undefined],
  ['a@1.2.3.4:80 ', undefined],
  ['a@1.2.3.4:80\n', undefined],
  ['a@1.2.3.4:8o', undefined],
  ['@1.2.3.4:80', undefined],
  ['1.2.3.4:80', undefined],
  ['a b@1.2.3.4:80', undefined],
  ['a\n@1.2.3.4:80', undefined],
  ['ä@1.2.3.4:80', undefined],
  ['a@b@1.2.3.4:80', undefined],
  ['a@localhost:80', undefined],
  ['a@example.com:80', undefined],
  ['a@127.1:80', undefined],
  ['a@0x7f.0.0.1:80', undefined],
  ['a@0177.0.0.1:80', undefined],
  ['a@0.0.0.0:80', undefined],
  ['a@[::]:80', undefined],
  ['a@[::ffff:0.0.0.0]:80', undefined],
  ['a@224.0.0.1:80', undefined],
  ['a@239.255.255.255:80', undefined],
  ['a@[ff02::1]:80', undefined],
  ['a@[::ffff:224.0.0.1]:80', undefined],
  ['a@255.255.255.255:80', undefined],
  ['a@[::1:80', undefined],
  ['a@[::1]80', undefined],
  ['', undefined],
  ['@', undefined],
  ['@:', undefined],
  ['a@:80', undefined],
];

for (const [text, parts] of HOST_IDS) {
  test(`host_id ${JSON.stringify(text)} ${parts ? 'is read' : 'is refused'}`, (t) => {
    const expected = parts && { random: parts[0], address: parts[1], port: parts[2] };
    t.deepEqual(parseHostId(text), expected);
    if (expected) t.deepEqual(parseHostId(formatHostId(expected)), expected, 'its wire form means the same');
  });
}

test('a million characters are judged at once', (t) => {
  for (const text of ['a@', '@', '[', ':', 'a@['].map((part) => part.repeat(200_000))) {
    t.is(parseHostId(text), undefined);
    t.is(canonicalAddress(text), undefined);
  }
});

test('the wire form puts IPv6 in brackets', (t) => {
  t.is(formatHostId({ random: 'r', address: '::1', port: 1 }), 'r@[::1]:1');
  t.is(formatHostId({ random: 'r', address: '1.2.3.4', port: 1 }), 'r@1.2.3.4:1');
  t.is(hostPort('fe80::1%eth0', 7), '[fe80::1%eth0]:7');
});

test('which addresses reach this machine only, and which nobody has', (t) => {
  for (const address of ['127.0.0.1', '127.255.255.254', '::1']) t.true(isLoopback(address), address);
  for (const address of ['128.0.0.1', '10.0.0.1', '::2', 'fe80::1%lo', '0.0.0.0', '::']) t.false(isLoopback(address), address);
  for (const address of ['0.0.0.0', '::']) t.true(isUnspecified(address), address);
  for (const address of ['127.0.0.1', '::1', '10.0.0.0']) t.false(isUnspecified(address), address);
});
