/** What `system.get_properties` answers, and pages show: who this relay is, since when, and with which plugins. */
import type { Sendable } from '../../values/values.ts';
import type { Identity } from '../intake.ts';
import type { RelayParts } from '../parts.ts';

/** A reader of the properties of one relay, which counts its uptime (s) from this call. */
export function propertiesFrom({ version, satellites, pluginHost }: Pick<RelayParts, 'version' | 'satellites' | 'pluginHost'>) {
  const startedAt = new Date();
  return ({ hostId, address, port }: Identity, maintainer: string): Readonly<Record<string, Sendable>> => {
    const now = new Date();
    return {
      host_id: hostId,
      host: address,
      port,
      versions: { co2_relay: version, node: process.version, platform: `${process.platform} ${process.arch}` },
      start_time: startedAt,
      server_time: now,
      uptime: Math.round((now.getTime() - startedAt.getTime()) / 1000),
      maintainer,
      max_satellites: satellites.max,
      plugins: pluginHost
        .status()
        .plugins.filter((plugin) => plugin.satellites.length > 0)
        .map(({ name }) => name),
    };
  };
}
