/** PUBLIC: what `config.ts` imports from 'co2-relay/config'. */
import type { HttpOptions } from '../http/http.ts';
import type { IdentityOptions } from '../identity/identity.ts';
import type { LinkOptions } from '../links/links.ts';
import type { MeshOptions } from '../mesh/mesh.ts';
import type { PluginHostOptions, RelayPluginOptions } from '../plugin-host/plugin-host.ts';
import type { RecordingOptions } from '../recordings/recordings.ts';
import type { RelayOptions } from '../relay/relay.ts';
import type { SatelliteOptions } from '../satellites/satellites.ts';
import type { ServiceOptions } from '../services/services.ts';
import type { StateOptions } from '../state/state.ts';
import type { StoreOptions } from '../store/store.ts';
import type { WorkOptions } from '../work/work.ts';
import type { LogOptions } from './log-options.ts';

/** All options, complete. */
export type Options = HttpOptions &
  StateOptions &
  PluginHostOptions &
  RelayPluginOptions &
  LinkOptions &
  IdentityOptions &
  MeshOptions &
  SatelliteOptions &
  RelayOptions &
  StoreOptions &
  WorkOptions &
  RecordingOptions &
  ServiceOptions &
  LogOptions;

/** What an operator writes: any part of {@link Options}; options that are omitted or undefined have their defaults. */
export type Config = DeepPartial<Options>;

type DeepPartial<T> = T extends readonly unknown[] | string | number | boolean
  ? T
  : { readonly [Key in keyof T]?: DeepPartial<T[Key]> | undefined };

/** Types the configuration of a relay: `export default defineConfig({ port: 2004 })`. It is checked when the relay starts. */
export function defineConfig(config: Config): Config {
  return config;
}
