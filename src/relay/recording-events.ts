/** What happens to recordings, which `recordings/` emits: declared here, since every subscriber of the relay's events gets them. */

export interface RecordingEvent {
  /** Emitted for each change of state. */
  readonly type: 'recording.state';
  /** The name of the datasource: `ham.spam:record`. */
  readonly recording: string;
  readonly state: 'idle' | 'recording' | 'unresponsive' | 'backoff' | 'failed';
  /** `''` where the state says it all. */
  readonly reason: string;
}
