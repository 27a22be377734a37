/** Records the load, the memory and the disk of the machine on which the relay runs. */
import { statfs } from 'node:fs/promises';
import { availableParallelism, freemem, loadavg, totalmem, uptime } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Datasource, Plugin, Satellite } from 'co2-relay';
import { z } from 'zod';

const config = z.strictObject({
  /** ms between two frames. */
  intervalMs: z.int().min(100).max(60_000).default(5_000),
  /** Directories whose file systems are watched. */
  disks: z.array(z.string()).max(100).default(['/']),
});

@Satellite({ config })
export class System extends Plugin {
  private settings = config.parse({});

  override setup(settings: z.infer<typeof config>) {
    this.settings = settings;
  }

  /** Yields {load: [1, 5, 15 minutes], cpus, uptime (s), memory: {total, free}, disks: {path: {total, free}}} in bytes, as JSON. */
  @Datasource({ timeoutMs: 120_000 })
  async *record(signal: AbortSignal) {
    for (;;) {
      const payload = JSON.stringify({
        ...{ load: loadavg(), cpus: availableParallelism(), uptime: Math.round(uptime()) },
        memory: { total: totalmem(), free: freemem() },
        disks: await this.disks(),
      });
      yield { type: 'application/json', payload };
      await sleep(this.settings.intervalMs, undefined, { signal });
    }
  }

  /** A file system that cannot be read, such as one that is not mounted, is omitted. */
  private async disks() {
    const found: Record<string, { total: number; free: number }> = {};
    for (const path of this.settings.disks) {
      const stats = await statfs(path).catch(() => undefined);
      if (stats) found[path] = { total: stats.blocks * stats.bsize, free: stats.bavail * stats.bsize };
    }
    return found;
  }
}
