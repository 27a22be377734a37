/** All options of the plugin host, of which each directory below it owns a part. */
import { childDefaults, childShape } from './children/children.ts';
import type { ChildOptions } from './children/children.ts';
import { durableDefaults, durableShape } from './durable/durable.ts';
import type { DurableOptions } from './durable/durable.ts';
import { hostedDefaults, hostedShape } from './hosted/options.ts';
import type { HostedOptions } from './hosted/hosted.ts';
import { moduleDefaults, moduleShape } from './modules/modules.ts';
import type { ModuleOptions } from './modules/modules.ts';
import { programsDefaults, programsShape } from './programs/programs.ts';
import type { ProgramsOptions } from './programs/programs.ts';

export type PluginHostOptions = ModuleOptions & ChildOptions & ProgramsOptions & HostedOptions & DurableOptions;

export const pluginHostDefaults: PluginHostOptions = {
  ...moduleDefaults,
  ...childDefaults,
  ...programsDefaults,
  ...hostedDefaults,
  ...durableDefaults,
};

export const pluginHostShape = { ...moduleShape, ...childShape, ...programsShape, ...hostedShape, ...durableShape };
