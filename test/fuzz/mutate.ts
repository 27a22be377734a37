/** Mutations of a document, as accidents and attackers cause them: truncation, repetition, swaps and other spellings. */
import type { Random } from './random.ts';

/** One mutation; `at`, `size` and `other` are taken modulo the length of the document. */
export interface Mutation {
  readonly kind: 'delete' | 'insert' | 'copy' | 'swap' | 'flip' | 'cut' | 'tag';
  readonly at: number;
  readonly size: number;
  readonly other: number;
}

export const MUTATIONS: readonly Mutation['kind'][] = ['delete', 'insert', 'copy', 'swap', 'flip', 'cut', 'tag'];

// Texts that are significant in some rule.
const PIECES = (
  '<value>|</value>|<int>|</int>|<array><data>|</data></array>|<struct>|</struct>|<member>|<name>__proto__</name>|<nil/>|<value/>|<![CDATA[|]]>|<!--|-->|' +
  '<?|?>|<!DOCTYPE a [<!ENTITY b "c">]>|&|&b;|&#|&#x10FFFF;|;|"|=| a="b"| xmlns:ex=""|/|>|<|\0|\x0b|\x1b|\r|\n|\xff|\xc0\xbc|\xed\xa0\x80|\xef\xbb\xbf|\xef\xbf\xbe|' +
  '9999999999|-|+|.|e|:|<?xml version="1.0" encoding="UTF-16"?>|<methodCall>|</methodCall>|<params/>|<methodName>x</methodName>'
)
  .split('|')
  .map((piece) => Buffer.from(piece, 'latin1'));

export function mutate(body: Buffer, { kind, at, size, other }: Mutation): Buffer {
  if (body.length === 0) return Buffer.from(PIECES[other % PIECES.length]!);
  const from = at % body.length;
  const to = Math.min(body.length, from + 1 + (size % 40));
  const place = other % body.length;
  switch (kind) {
    case 'delete':
      return Buffer.concat([body.subarray(0, from), body.subarray(to)]);
    case 'insert':
      return Buffer.concat([body.subarray(0, from), PIECES[other % PIECES.length]!, body.subarray(from)]);
    case 'copy':
      return Buffer.concat([body.subarray(0, place), body.subarray(from, to), body.subarray(place)]);
    case 'swap':
      return swapped(body, from, place);
    case 'flip':
      return changed(body, from, other);
    case 'cut':
      return body.subarray(0, from);
    case 'tag':
      return swappedTags(body, at, other);
  }
}

/** One to four mutations in sequence. */
export function mutateOften(body: Buffer, random: Random): Buffer {
  let changedBody = body;
  for (let count = random.once(2) ? 1 : 2 + random.below(3); count > 0; count--) {
    changedBody = mutate(changedBody, { kind: random.pick(MUTATIONS), at: random.next(), size: random.next(), other: random.next() });
  }
  return changedBody;
}

function swapped(body: Buffer, one: number, other: number): Buffer {
  const copy = Buffer.from(body);
  copy[one] = body[other]!;
  copy[other] = body[one]!;
  return copy;
}

function changed(body: Buffer, at: number, other: number): Buffer {
  const copy = Buffer.from(body);
  // Every other time only one bit.
  copy[at] = other % 2 === 0 ? body[at]! ^ (1 << ((other >>> 1) % 8)) : (other >>> 1) % 256;
  return copy;
}

// Swaps two tags, so that elements overlap or occur in the wrong place.
function swappedTags(body: Buffer, at: number, other: number): Buffer {
  const tags = [...body.toString('latin1').matchAll(/<[^<>]{1,60}>/g)];
  if (tags.length < 2) return body;
  const [first, second] = [tags[at % tags.length]!, tags[other % tags.length]!].sort((a, b) => a.index - b.index) as [
    RegExpExecArray,
    RegExpExecArray,
  ];
  if (first === second) return body;
  const part = (from: number, to?: number): Buffer => body.subarray(from, to);
  const [firstEnd, secondEnd] = [first.index + first[0].length, second.index + second[0].length];
  return Buffer.concat([
    part(0, first.index),
    part(second.index, secondEnd),
    part(firstEnd, second.index),
    part(first.index, firstEnd),
    part(secondEnd),
  ]);
}
