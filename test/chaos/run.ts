/** One run: relays as processes are linked, used, killed and suspended at random, and left in peace; then the oracle judges. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Oracle } from './oracle.ts';
import type { Counts } from './oracle.ts';
import { planOf } from './plan.ts';
import type { Fault, Plan, PlanOptions } from './plan.ts';
import { ChaosRelay, EVERY_MS, nickOf, portsFor, urlOf } from './relay.ts';

export interface RunOptions extends PlanOptions {
  /** Where everything is kept that the relays write; it exists. */
  readonly directory: string;
  /** The program `co2` of the built package. */
  readonly co2: string;
  /** How long everything may take to be delivered after the last fault, in ms. */
  readonly healMs: number;
  /** A module in `test/fixtures` that breaks something in each relay, so that the oracle has something to find. */
  readonly sabotage?: string | undefined;
  /** Breaks something on purpose: a relay that was killed starts without what it had stored. */
  readonly losesStores?: boolean | undefined;
}

export interface RunResult {
  readonly shape: Plan['shape'];
  readonly trust: Plan['trust'];
  /** The promises that were not kept, as texts. */
  readonly violations: readonly string[];
  readonly counts: Counts;
  /** How often relays were killed (-9), asked to end, and suspended. */
  readonly faults: Readonly<Record<Fault['type'], number>>;
  /** From the end of the faults until everything was delivered. */
  readonly healedMs: number;
}

/** A row of `relay.get_nodes`. */
interface Node {
  readonly state: string;
  readonly neighbours: readonly unknown[];
}

// Relays that start together share two cores.
const START_MS = 60_000;
const POLL_MS = 200;
// What comes twice comes soon after everything came once.
const SETTLE_MS = 1500;

/** See the head of this file. Rejects if a relay does not start, does not end, or never gets its links. */
export async function run(options: RunOptions): Promise<RunResult> {
  const plan = planOf(options);
  const chaos = new Chaos(options, plan, await makeRelays(options, plan));
  try {
    await chaos.calm();
    await chaos.disturb();
    return await chaos.heal();
  } finally {
    await chaos.end();
  }
}

async function makeRelays({ nodes, directory, co2, sabotage }: RunOptions, { edges, trust }: Plan): Promise<readonly ChaosRelay[]> {
  const ports = await portsFor(nodes);
  return ports.map((port, index) => {
    const peers = edges.filter(([from]) => from === index).map(([, to]) => urlOf(to, ports[to] ?? 0));
    const others = [...ports.keys()].filter((other) => other !== index);
    return new ChaosRelay({ index, directory, co2, port, peers, others: others.map(nickOf), trust, sabotage });
  });
}

class Chaos {
  readonly #oracle: Oracle;
  readonly #faults = { kill: 0, stop: 0, suspend: 0 };
  // Relays of which a fault has not ended yet.
  readonly #away = new Set<ChaosRelay>();
  #isSending = false;
  #clients: readonly Promise<void>[] = [];
  #failure: unknown;

  constructor(
    private readonly options: RunOptions,
    private readonly plan: Plan,
    private readonly relays: readonly ChaosRelay[],
  ) {
    this.#oracle = new Oracle(relays);
  }

  /** All relays start and have their links: what is sent before that need not reach everybody. */
  async calm(): Promise<void> {
    await Promise.all(this.relays.map((relay) => relay.start()));
    const deadline = Date.now() + START_MS;
    while (!(await this.#isLinked())) {
      if (Date.now() > deadline) throw new Error(`not all links were up within ${START_MS} ms`);
      await sleep(POLL_MS);
    }
    this.#isSending = true;
    for (const relay of this.relays) await relay.call('chaos.sender.begin');
    this.#clients = this.relays.map((relay) => this.#client(relay));
  }

  /** True once every relay knows a way to all others, and has all its links. */
  async #isLinked(): Promise<boolean> {
    const known = (await Promise.all(this.relays.map((relay) => relay.callAsAdmin('relay.get_nodes')))) as unknown as Node[][];
    return known.every(
      (nodes, index) =>
        nodes.length === this.relays.length &&
        nodes.every(({ state }) => state === 'self' || state === 'reachable') &&
        nodes.find(({ state }) => state === 'self')?.neighbours.length === this.#neighboursOf(index),
    );
  }

  #neighboursOf(index: number): number {
    const others = this.plan.edges.filter((edge) => edge.includes(index)).flat();
    return new Set(others).size - 1;
  }

  /** A client of a relay sends one message after the other, whether the relay runs or not. */
  async #client(relay: ChaosRelay): Promise<void> {
    for (let number = 1; this.#isSending; number++) {
      const name = `c${relay.index}.${number}`;
      this.#oracle.sent(name);
      try {
        await relay.call('notify', { data: name });
        this.#oracle.acknowledged(name);
      } catch {
        // Nobody knows whether the relay has it: it may be delivered, and need not be.
      }
      await sleep(EVERY_MS);
    }
  }

  /** The faults of the plan, at their times. */
  async disturb(): Promise<void> {
    const start = Date.now();
    const running: Promise<void>[] = [];
    for (const fault of this.plan.faults) {
      await sleep(Math.max(0, start + fault.at - Date.now()));
      running.push(this.#inflict(fault));
    }
    await sleep(Math.max(0, start + this.options.chaosMs - Date.now()));
    await Promise.all(running);
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #inflict({ type, node, forMs }: Fault): Promise<void> {
    const targets = this.relays.filter((relay) => (node === undefined || relay.index === node) && !this.#away.has(relay));
    await Promise.all(
      targets.map(async (relay) => {
        this.#away.add(relay);
        this.#faults[type]++;
        try {
          await this.#disturbOne(relay, type, forMs);
        } catch (error) {
          this.#failure ??= error;
        }
        this.#away.delete(relay);
      }),
    );
  }

  async #disturbOne(relay: ChaosRelay, type: Fault['type'], forMs: number): Promise<void> {
    if (type === 'suspend') {
      relay.suspend();
      await sleep(forMs);
      relay.resume();
      return;
    }
    await (type === 'kill' ? relay.kill() : relay.stop());
    if (type === 'kill' && this.options.losesStores === true) relay.loseStore();
    await sleep(forMs);
    await relay.start();
    // It may be asked to end again before it answers.
    await relay.call('chaos.sender.begin');
  }

  /** Nothing fails any more, and all that was acknowledged must arrive. */
  async heal(): Promise<RunResult> {
    const start = Date.now();
    this.#isSending = false;
    for (const relay of this.relays) await relay.call('chaos.sender.end');
    await Promise.all(this.#clients);
    while (this.#oracle.missing().length > 0 && Date.now() < start + this.options.healMs) await sleep(POLL_MS);
    const healedMs = Date.now() - start;
    await sleep(SETTLE_MS);
    await Promise.all(this.relays.map((relay) => relay.stop()));
    // Messages can overtake each other only where there are two paths.
    const violations = this.#oracle.violations({ inOrder: this.plan.shape === 'line' });
    return {
      ...{ shape: this.plan.shape, trust: this.plan.trust },
      violations,
      counts: this.#oracle.counts(),
      faults: this.#faults,
      healedMs,
    };
  }

  async end(): Promise<void> {
    this.#isSending = false;
    await Promise.all(this.relays.map((relay) => relay.end()));
  }
}
