/** The codec alone: parsing and writing, compared with the npm package, JSON of the equal value, and Python's parser. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { parseCall, serialiseCall } from '../src/xmlrpc/xmlrpc.ts';
import { BASE64, NOTIFY, PROSE, SERIES, SMALL, STRUCTS } from './documents.ts';
import type { Document } from './documents.ts';
import { NPM, PYTHON } from './peers.ts';
import { timeEach } from './statistics.ts';
import type { Contender, Effort } from './statistics.ts';
import type { Aim, Figure, Ratio } from './table.ts';

// The package's codec has no types, because it is not meant to be used on its own.
interface NpmCodec {
  serializeMethodCall(method: string, params: readonly unknown[]): string;
}
type NpmReader = new () => { deserializeMethodCall(stream: Readable, done: (error: Error | null) => void): void };

const require = createRequire(import.meta.url);
const npmWriter = require('xmlrpc/lib/serializer.js') as NpmCodec;
const NpmDeserializer = require('xmlrpc/lib/deserializer.js') as NpmReader;
const JSON_NAME = 'JSON';
const MIB = 1024 * 1024;
const AIMS = { parse: { [NPM]: { least: 50 }, [JSON_NAME]: { least: 0.35 } }, serialise: { [NPM]: { least: 50 } } } as const;
// Documents that take its parser or writer a second or more are measured in another benchmark.
const DOCUMENTS = [SMALL, NOTIFY, STRUCTS, SERIES, PROSE, BASE64];

/**
 * MiB per second for each document, parsed and written. `directory`: for temporary Python files; `skipped` receives what is not available.
 */
export async function codec(effort: Effort, directory: string, skipped: string[]): Promise<Figure[]> {
  const python = pythonTimes(directory, skipped);
  const figures: Figure[] = [];
  for (const [index, document] of DOCUMENTS.entries()) {
    const times = new Map(await timeEach(readers(document), effort));
    if (python) times.set(PYTHON, (python[index] ?? NaN) * 1e6);
    figures.push(figureOf('Parse', document, times, AIMS.parse));
  }
  for (const document of DOCUMENTS) {
    figures.push(figureOf('Serialise', document, await timeEach(writers(document), effort), AIMS.serialise));
  }
  return figures;
}

function readers({ bytes, params }: Document): Contender[] {
  const text = bytes.toString();
  const json = JSON.stringify(params);
  return [
    { name: 'ours', work: () => parseCall(bytes, { limits: { maxBodyBytes: bytes.length } }) },
    { name: JSON_NAME, work: () => JSON.parse(json) as unknown },
    { name: NPM, work: () => npmParse(text) },
  ];
}

function writers({ method, params }: Document): Contender[] {
  return [
    { name: 'ours', work: () => serialiseCall(method, params) },
    // To bytes, as they are sent.
    { name: JSON_NAME, work: () => Buffer.from(JSON.stringify(params)) },
    { name: NPM, work: () => Buffer.from(npmWriter.serializeMethodCall(method, params)) },
  ];
}

function npmParse(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    new NpmDeserializer().deserializeMethodCall(Readable.from([text]), (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}

function figureOf(
  group: string,
  { name, bytes }: Document,
  times: ReadonlyMap<string, number>,
  aims: Readonly<Record<string, Aim>>,
): Figure {
  const ours = times.get('ours') ?? NaN;
  const ratios = [...times]
    .filter(([other]) => other !== 'ours')
    .map(([other, time]): Ratio => ({ to: `x ${other}`, ratio: time / ours, aim: aims[other] }));
  return { group, what: name, value: (bytes.length / MIB / ours) * 1e6, unit: `MiB/s (${ours.toPrecision(3)} µs)`, ratios };
}

/** Seconds for each document; undefined without Python. */
function pythonTimes(directory: string, skipped: string[]): readonly number[] | undefined {
  const files = DOCUMENTS.map(({ bytes }, index) => {
    const file = join(directory, `${index}.xml`);
    writeFileSync(file, bytes);
    return file;
  });
  try {
    const program = join(import.meta.dirname, 'peers/codec.py');
    return JSON.parse(execFileSync('python3', [program, ...files], { encoding: 'utf8' })) as number[];
  } catch (error) {
    skipped.push(`Python's reader: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}
