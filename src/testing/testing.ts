/**
 * PUBLIC: the test kit, 'co2-relay/testing'. A whole relay in memory, without a port or a state directory, with a clock that the test
 * advances. Works with every test runner.
 */
export type { Config } from '../config/config.ts';
export { RelayError } from '../core/core.ts';
export type { Dict, Sendable, Value } from '../values/values.ts';
export { RemoteFault } from '../client/client.ts';
export type { LogLine } from './logs.ts';
export type { SatelliteClass, TestPlugins } from './plugin-files.ts';
export type { TestClock } from './test-clock.ts';
export { createTestRelay, joinTestRelays } from './test-relay.ts';
export type { TestCaller, TestCommand, TestFrame, TestRelay, TestRelayOptions, TestSubmission, TestWork } from './types.ts';
