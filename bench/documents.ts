/** What all contenders parse, write and call. */
import type { Sendable } from '../src/values/values.ts';
import { serialiseCall } from '../src/xmlrpc/xmlrpc.ts';

/** A call, as a value and as bytes. */
export interface Document {
  readonly name: string;
  readonly method: string;
  readonly params: readonly Sendable[];
  readonly bytes: Buffer;
}

/** The content of a row. */
export const NOTE = 'a few words about this row, as people write them';

const KIB = 1024;
const MIB = 1024 * KIB;

/** The call of the method that adds two integers, which every server here has. */
export const SMALL = documentOf('small call', 'bench.box.add', [1, 2]);
/** A dict as programs send it: 2.3 KB of XML. */
export const NOTIFY = documentOf('notify of 2.3 KB', 'notify', [noticeOf(18)]);
/** 1 MiB of rows, like those of a database or a log. */
export const STRUCTS = arrayOfStructs(MIB);
export const BASE64 = documentOf('base64 of 8 MiB', 'put', [Buffer.alloc(6 * MIB, 'some bytes that repeat')]);
/** Mostly dates and doubles, like the data of a recorder. */
export const SERIES = documentOf('1 MiB of dates and doubles', 'put', [
  Array.from({ length: 6400 }, (_, i) => ({ at: new Date(1.7e12 + i * 61_000), value: Math.sqrt(i + 2) })),
]);
/** Text that must be escaped and encoded. */
export const PROSE = documentOf('1 MiB of umlauts and markup', 'put', [
  Array.from(
    { length: 6000 },
    (_, i) => `Grüße aus Köln & Zürich, Nr. ${i}: <b>schöner</b> als je zuvor, für jeden > 18; Straße, Übermut.`,
  ),
]);

/** `bytes` or slightly more of structs with five members in an array; `note` is the longest of them. */
export function arrayOfStructs(bytes: number, note = NOTE): Document {
  const [one, two] = [rowsOf(100, note), rowsOf(200, note)].map((rows) => serialiseCall('bench.box.count', [rows]).length) as [
    number,
    number,
  ];
  const count = Math.ceil((bytes / (two - one)) * 100);
  return documentOf(`${Math.round(bytes / MIB)} MiB array of structs`, 'bench.box.count', [rowsOf(count, note)]);
}

/** Base64 of `bytes` bytes of text. */
export function base64Of(bytes: number): Document {
  return documentOf('base64', 'bench.box.count', [Buffer.alloc(Math.floor((bytes * 3) / 4), 7)]);
}

function rowsOf(count: number, note: string): Sendable[] {
  return Array.from({ length: count }, (_, i) => ({
    id: i,
    name: `row number ${i}`,
    ratio: (i + 0.5) / 8,
    isOpen: i % 3 === 0,
    note,
  }));
}

function noticeOf(rows: number): Sendable {
  return {
    data: 'temperature',
    station: { name: 'greenhouse', height: 4.5, isOutside: false },
    readings: Array.from({ length: rows }, (_, i) => ({ sensor: i, celsius: 20.125 + i / 4 })),
  };
}

function documentOf(name: string, method: string, params: readonly Sendable[]): Document {
  return { name, method, params, bytes: serialiseCall(method, params) };
}
