/** The properties that `system.get_properties` returns and pages show: what this relay is, when it started, and its plugins. */
import type { Identity } from '../../message/message.ts';
import type { PluginHost } from '../../plugin-host/plugin-host.ts';
import type { Satellites } from '../../satellites/satellites.ts';
import type { Sendable } from '../../values/values.ts';

/** The properties, with the names that they have on the wire. */
export type Properties = Readonly<Record<string, Sendable>>;

export interface PropertiesDependencies {
  readonly version: string;
  readonly self: () => Identity;
  /** The current value of the option. */
  readonly maintainer: () => string;
  readonly satellites: Pick<Satellites, 'max'>;
  readonly pluginHost: Pick<PluginHost, 'status'>;
}

/**
 * Makes the function that returns the properties of a relay; the uptime (s) is counted from this call. The function throws a RelayError
 * UNAVAILABLE before the relay listens.
 */
export function propertiesOf({ version, self, maintainer, satellites, pluginHost }: PropertiesDependencies): () => Properties {
  const startedAt = new Date();
  return () => {
    const { hostId, address, port } = self();
    const now = new Date();
    return {
      host_id: hostId,
      host: address,
      port,
      versions: { co2_relay: version, node: process.version, platform: `${process.platform} ${process.arch}` },
      start_time: startedAt,
      server_time: now,
      uptime: Math.round((now.getTime() - startedAt.getTime()) / 1000),
      maintainer: maintainer(),
      max_satellites: satellites.max,
      plugins: pluginHost
        .status()
        .plugins.filter((plugin) => plugin.satellites.length > 0)
        .map(({ name }) => name),
    };
  };
}
