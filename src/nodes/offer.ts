/** Tells the other nodes what this one offers, and how busy it is, whenever that changes. */
import { performance } from 'node:perf_hooks';
import type { Clock, Log } from '../core/core.ts';
import type { MeshPort } from '../mesh/mesh.ts';
import { METHOD, VERSION, WORK } from './node-table.ts';

export interface OfferParts {
  readonly port: Pick<MeshPort, 'describe'>;
  /** Version of this relay. */
  readonly version: string;
  /** Names of the methods that other nodes may call. */
  readonly methods: () => readonly string[];
  /** Types of work. */
  readonly work: () => readonly string[];
  /** Units of work that run. */
  readonly running: () => number;
  /** What else it offers, each as `kind:name`. Default nothing. */
  readonly others?: (() => readonly string[]) | undefined;
  readonly clock: Clock;
  readonly log: Log;
  /** The share of the time, 0 to 1, in which this process was busy since the last call. Default: that of its event loop. */
  readonly busy?: (() => number) | undefined;
}

// Many plugins change at once at a start or reload.
const SETTLE_MS = 200;
const LOAD_EVERY_MS = 10_000;
// Every change goes to all nodes of the mesh.
const LOAD_STEP = 10;
const LOAD_PER_UNIT = 10;
// A link state may have 64 KiB; its links and addresses need room too.
const MAX_TEXTS = 1000;
const MAX_BYTES = 40 * 1024;
const MAX_TEXT_BYTES = 255;

export class Offer {
  readonly #parts: OfferParts;
  readonly #busy: () => number;
  #described = '';
  #load = 0;
  #isCut = false;
  #cancelRefresh: (() => void) | undefined;
  #cancelLoad: (() => void) | undefined;

  constructor(parts: OfferParts) {
    this.#parts = parts;
    this.#busy = parts.busy ?? eventLoopUse();
  }

  /** Describes this node now, and from then on when {@link refresh} is called or its load changes. */
  start(): void {
    this.#tell();
    this.#watchLoad();
  }

  stop(): void {
    this.#cancelRefresh?.();
    this.#cancelLoad?.();
  }

  /** Something may have changed. */
  readonly refresh = (): void => {
    // Before the start there is nobody to tell.
    if (!this.#cancelLoad) return;
    this.#cancelRefresh ??= this.#parts.clock.after(SETTLE_MS, () => {
      this.#cancelRefresh = undefined;
      this.#tell();
    });
  };

  #watchLoad(): void {
    this.#cancelLoad = this.#parts.clock.after(LOAD_EVERY_MS, () => {
      const load = Math.max(100 * this.#busy(), LOAD_PER_UNIT * this.#parts.running());
      const rounded = Math.min(100, Math.round(load / LOAD_STEP) * LOAD_STEP);
      if (rounded !== this.#load) {
        this.#load = rounded;
        this.#tell();
      }
      this.#watchLoad();
    });
  }

  #tell(): void {
    const capabilities = this.#capabilities();
    const described = [this.#load, ...capabilities].join('\n');
    if (described === this.#described) return;
    this.#described = described;
    this.#parts.port.describe({ capabilities, load: this.#load });
  }

  /** What fits, sorted. The version is first, and methods are last, so that only methods are cut. */
  #capabilities(): readonly string[] {
    const { version, methods, work, others, log } = this.#parts;
    const named = (kind: string, names: readonly string[]): string[] => names.map((name) => kind + name);
    const wanted = [
      `${VERSION}${version}`,
      ...(others?.() ?? []),
      ...named(WORK, [...work()].sort()),
      ...named(METHOD, [...methods()].sort()),
    ];
    const texts: string[] = [];
    let room = MAX_BYTES;
    for (const text of new Set(wanted)) {
      const bytes = Buffer.byteLength(text);
      if (bytes > MAX_TEXT_BYTES || bytes + 2 > room || texts.length >= MAX_TEXTS) continue;
      room -= bytes + 2;
      texts.push(text);
    }
    const isCut = texts.length < new Set(wanted).size;
    if (isCut && !this.#isCut)
      log.warn(
        `other nodes see ${texts.length} of the ${wanted.length} methods and types of work of this relay: more do not fit into its description`,
      );
    this.#isCut = isCut;
    return texts.sort();
  }
}

/** The use of the event loop since the last call. */
function eventLoopUse(): () => number {
  let before = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    return utilization;
  };
}
