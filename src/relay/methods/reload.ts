/** `relay.reload`: reads the configuration again, without a restart where possible. */
import type { MethodRegistry } from '../../rpc/rpc.ts';

/** Options by their full names (`access.anonymous`) that differ from those in effect. */
export interface ReloadReport {
  readonly tookEffect: readonly string[];
  /** They keep their values until then. */
  readonly needsRestart: readonly string[];
}

/** Rejects with a RelayError CONFIG_INVALID if the new configuration is wrong; the old one stays in effect. */
export type Reload = () => Promise<ReloadReport>;

/** Registers it. */
export function addReload(registry: MethodRegistry, reload: Reload): void {
  registry.add({
    name: 'relay.reload',
    access: 'admin',
    help: 'Reads the configuration anew. Answers the options that changed: took_effect, and needs_restart. A wrong configuration is a fault, and the old one stays.',
    signatures: [['struct'], ['struct', 'struct']],
    invoke: async () => {
      const { tookEffect, needsRestart } = await reload();
      return { took_effect: tookEffect, needs_restart: needsRestart };
    },
  });
}
