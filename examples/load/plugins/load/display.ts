/** Shows the load of other machines, whose relays record `sense.system` with `dicts: true`. */
import { Dict, Exposed, Plugin, Satellite } from 'co2-relay';

/** What `sense.system` records. */
interface Sample {
  readonly load: readonly number[];
  readonly memory: { readonly total: number; readonly free: number };
  readonly disks: Readonly<Record<string, { readonly total: number; readonly free: number }>>;
}

// More machines than that are not shown.
const MAX_MACHINES = 1_000;

@Satellite()
export class Display extends Plugin {
  private readonly machines = new Map<string, string>();

  receive({ host_id: hostId, data }: Dict) {
    const { recording, frame } = structOf(data);
    const { payload } = structOf(frame);
    if (recording !== 'sense.system:record' || typeof hostId !== 'string' || !Buffer.isBuffer(payload)) return;
    const machine = hostId.slice(hostId.indexOf('@') + 1);
    const text = textOf(JSON.parse(payload.toString()) as Sample);
    if (this.machines.size < MAX_MACHINES || this.machines.has(machine)) this.machines.set(machine, text);
    console.log(`B shows http://${machine}: ${text}`);
  }

  /** The latest values of each machine, as text. */
  @Exposed({ params: [], returns: 'struct' })
  latest() {
    return Object.fromEntries(this.machines);
  }
}

function structOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function textOf({ load, memory, disks }: Sample): string {
  const space = Object.entries(disks).map(([path, { total, free }]) => `${path} ${Math.round((100 * free) / total)} % free`);
  return [`load ${(load[0] ?? 0).toFixed(2)}`, `${gibibytes(memory.free)} of ${gibibytes(memory.total)} GiB free`, ...space].join(', ');
}

function gibibytes(bytes: number): string {
  return (bytes / 2 ** 30).toFixed(1);
}
