/** `relay.reload`: applies changes of the configuration, without a restart where possible. */
import type { MethodRegistry } from '../../rpc/rpc.ts';

/** Options by their full names (`access.anonymous`) that differ from those in effect. */
export interface ReloadReport {
  readonly tookEffect: readonly string[];
  /** Options that keep their values until a restart. */
  readonly needsRestart: readonly string[];
}

/** Rejects with a RelayError CONFIG_INVALID if the new configuration is wrong; the old one stays in effect. */
export type Reload = () => Promise<ReloadReport>;

/** Registers the method. */
export function addReload(registry: MethodRegistry, reload: Reload): void {
  registry.add({
    name: 'relay.reload',
    access: 'admin',
    help: 'Reads the configuration again. Returns the names of the options that changed: took_effect and needs_restart. If the configuration is invalid, returns a fault and keeps the old one.',
    signatures: [['struct'], ['struct', 'struct']],
    invoke: async () => {
      const { tookEffect, needsRestart } = await reload();
      return { took_effect: tookEffect, needs_restart: needsRestart };
    },
  });
}
