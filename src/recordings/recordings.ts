/** Recordings: frames that datasources of plugins yield, for subscribers, files, the store and the network; and commands of controllers. */
export { Commands } from './commands.ts';
export { addRecordingMethods } from './methods.ts';
export { recordingDefaults, recordingShape } from './options.ts';
export type { RecordingLimits, RecordingOptions, RecordingSettings, RecordingTargets } from './options.ts';
export { Recorder } from './recorder.ts';
export type { FrameEvent } from './recorder.ts';
