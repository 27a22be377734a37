/** The services that config.ts names: watchers report nodes that are up or down, and reactors act on the changes. */
export { addServiceMethods, serviceSummary } from './methods.ts';
export { serviceDefaults, serviceShape } from './options.ts';
export type { ServiceOptions } from './options.ts';
export { readReport } from './report.ts';
export type { ServiceStatus } from './service.ts';
export { Services } from './service-set.ts';
