/** Generates documents that follow the grammar of XML-RPC, with every element and spelling, and occasional errors. */
import type { Random } from './random.ts';

const NAMESPACE = 'http://ws.apache.org/xmlrpc/namespaces/extensions';
const TEXTS = [
  '',
  ' ',
  'a',
  'ä',
  '漢',
  '😀',
  '\t',
  '\n',
  '\r',
  '\r\n',
  '\u0085',
  '\u2028',
  '\ufeff',
  '\ufffd',
  ']',
  ']]',
  '>',
  `"'`,
  '\u{10ffff}',
];
const ODD_TEXTS = ['\0', '\u0001', '\ufffe', ']]>', '&', '&nbsp;', '<', '&#0;', '&#xD800;', '&#x110000;', '<!DOCTYPE a>'];
const REFERENCES = ['&lt;', '&gt;', '&amp;', '&quot;', '&apos;', '&#13;', '&#10;', '&#x41;', '&#0065;', '&#x1F600;', '&#x10FFFF;'];
const GAPS = ['', '', '', '', ' ', '\n', '\r\n', '\t', '<!---->', '<!-- - -->', '<?a?>', '<?a b?>', '<![CDATA[ ]]>', '&#32;'];
const NAMES = [
  'a',
  'b',
  '__proto__',
  'constructor',
  'toString',
  '0',
  '1',
  '',
  ' ',
  'ä',
  '&lt;',
  'length',
  'faultCode',
  'faultString',
  'host_id',
];
const ATTRIBUTES = [
  '',
  '',
  '',
  '',
  ' ',
  ' a="1"',
  ` a='&lt;' b=""`,
  ' xmlns:ex="urn:x"',
  ` xmlns:n="${NAMESPACE}"`,
  ` xmlns:ex='${NAMESPACE}'`,
];
const INTEGERS = [
  '0',
  '1',
  '-1',
  '+5',
  '007',
  '-0',
  '2147483647',
  '-2147483648',
  '2147483648',
  '9007199254740993',
  '9223372036854775807',
  ' 1',
  '1a',
  '',
];
const DOUBLES = ['0.0', '-0.0', '1', '.5', '1.', '1e3', '-25e-1', '1e-999', '1e309', '9007199254740993', 'NaN', '0x1', '1,5'];
const DATES = [
  '19980717T14:08:55',
  '1998-07-17T14:08:55Z',
  '19980717T14:08:55.123+02:00',
  '00000101T00:00:00',
  '99991231T23:59:59',
  '19981317T14:08:55',
];
const BASE64 = ['', 'AQID', 'AA==', 'A A\n=\t=', '+/8=', 'AAA', 'A=', '*'];
const INTEGER_TAGS = ['int', 'i4', 'i8', 'ex:i1', 'ex:i2', 'ex:int', 'ex:i8', 'ex:biginteger', 'n:i8'];
const PROLOGS = ['', '', '<?xml version="1.0"?>', '<?xml version="1.0" encoding="UTF-8"?>\n', '\ufeff', ' ', '<!-- -->'];

/** One document: usually a call, otherwise a response, a fault or a struct. */
export function document(random: Random): string {
  const kind = random.below(8);
  const prolog = random.pick(PROLOGS);
  if (kind === 0) return prolog + element(random, 'methodResponse', params(random, 1));
  if (kind === 1) return prolog + element(random, 'methodResponse', element(random, 'fault', value(random, 0)));
  if (kind === 2) return struct(random, 0);
  const name = element(random, 'methodName', random.pick(['m', 'a.b', 'system.multicall', random.once(9) ? 'a b' : 'x']));
  return prolog + element(random, 'methodCall', name + (random.once(9) ? '' : params(random, random.below(4))));
}

function params(random: Random, count: number): string {
  return element(random, 'params', Array.from({ length: count }, () => element(random, 'param', value(random, 0))).join(gap(random)));
}

function value(random: Random, depth: number): string {
  const inner = (): string => (random.once(depth > 4 ? 99 : 3) ? container(random, depth) : scalar(random));
  if (random.once(60)) return element(random, 'value', inner() + inner());
  return element(random, 'value', inner());
}

function container(random: Random, depth: number): string {
  if (random.once(2)) return struct(random, depth);
  return element(random, 'array', element(random, 'data', random.many(4, () => value(random, depth + 1)).join(gap(random))));
}

function struct(random: Random, depth: number): string {
  const members = random.many(4, () => {
    const name = element(random, 'name', random.once(3) ? text(random) : random.pick(NAMES));
    return element(random, 'member', random.once(60) ? value(random, depth + 1) + name : name + value(random, depth + 1));
  });
  return element(random, 'struct', members.join(gap(random)));
}

function scalar(random: Random): string {
  switch (random.below(8)) {
    case 0:
      return text(random);
    case 1:
      return `<string${random.pick(ATTRIBUTES)}>${text(random)}</string>`;
    case 2:
      return leaf(random, random.pick(INTEGER_TAGS), INTEGERS);
    case 3:
      return leaf(random, random.pick(['double', 'ex:float', 'ex:bigdecimal']), DOUBLES);
    case 4:
      return leaf(random, random.pick(['dateTime.iso8601', 'ex:dateTime']), DATES);
    case 5:
      return leaf(random, 'base64', BASE64);
    case 6:
      return leaf(random, 'boolean', ['0', '1', '2']);
    default:
      return random.pick(['<nil/>', '<ex:nil/>', '<nil></nil>', '<string/>', '<n:nil/>', '<ex:serializable/>', '<foo/>']);
  }
}

function leaf(random: Random, tag: string, texts: readonly string[]): string {
  // The first ones are right; the last ones are not always.
  const chosen = random.pick(random.once(4) ? texts : texts.slice(0, 2));
  return random.once(9) ? element(random, tag, chosen) : `<${tag}>${chosen}</${tag}>`;
}

function text(random: Random): string {
  return random
    .many(5, () => {
      const kind = random.below(40);
      if (kind === 0) return random.pick(ODD_TEXTS);
      if (kind < 8) return random.pick(REFERENCES);
      if (kind < 12) return `<![CDATA[${random.pick(TEXTS).replace('>', '')}]]>`;
      return kind < 14 ? random.pick(['<!---->', '<?a?>']) : random.pick(TEXTS);
    })
    .join('');
}

function element(random: Random, tag: string, inner: string): string {
  const attributes = random.once(6) ? random.pick(ATTRIBUTES) : '';
  if (inner === '' && random.once(2)) return `<${tag}${attributes}/>`;
  const isText = tag === 'name' || tag === 'methodName' || !inner.includes('<');
  const around = isText || random.once(2) ? '' : gap(random);
  return `<${tag}${attributes}>${around}${inner}${around}</${tag}${random.once(20) ? ' ' : ''}>`;
}

function gap(random: Random): string {
  return random.once(2) ? '' : random.pick(GAPS);
}
