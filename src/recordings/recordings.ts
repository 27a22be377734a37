/** Recordings: frames that datasources of plugins yield, for subscribers, files, the store and the network; and commands of controllers. */
import type { HostedController, HostedDatasource } from '../plugin-host/plugin-host.ts';
import { Commands } from './commands.ts';
import { Recorder } from './recorder.ts';
import type { RecorderParts } from './recorder.ts';

export { Commands } from './commands.ts';
export { addRecordingMethods, recordingSummary } from './methods.ts';
export { recordingDefaults, recordingShape } from './options.ts';
export type { RecordingLimits, RecordingOptions, RecordingSettings } from './options.ts';
export { Recorder } from './recorder.ts';

export interface RecordingsParts extends Omit<RecorderParts, 'datasources'> {
  /** What plugins offer now, by name. */
  readonly plugins: {
    datasources(): ReadonlyMap<string, HostedDatasource>;
    controllers(): ReadonlyMap<string, HostedController>;
  };
}

/** The recordings and commands of a relay. */
export class Recordings {
  readonly recorder: Recorder;
  readonly commands: Commands;

  constructor(parts: RecordingsParts) {
    const { plugins, limits, clock } = parts;
    this.recorder = new Recorder({ ...parts, datasources: () => plugins.datasources() });
    this.commands = new Commands({ controllers: () => plugins.controllers(), limits, clock });
  }

  start(): Promise<void> {
    return this.recorder.start();
  }

  async stop(): Promise<void> {
    this.commands.stop();
    await this.recorder.stop();
  }
}
