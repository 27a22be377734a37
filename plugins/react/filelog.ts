/** A reactor that writes each change as a line of JSON to a file. */
import { constants } from 'node:fs';
import { access, appendFile, rename, stat } from 'node:fs/promises';
import { dirname, isAbsolute } from 'node:path';
import { Plugin, Reactor, Satellite, type EndpointContext, type ServiceEvent } from 'co2-relay';
import { z } from 'zod';

/** `reactors: { log: { type: 'react.filelog', cfg: { file: '/var/log/web.ndjson' } } }` in config.ts. */
const configSchema = z.strictObject({
  /** An absolute path. */
  file: z.string().refine(isAbsolute, 'expected an absolute path'),
  /** Bytes after which the file is renamed to `<file>.1`, which replaces the one before. Default 16 MiB. */
  maxBytes: z
    .int()
    .min(1_024)
    .max(1e12)
    .default(16 * 1024 * 1024),
});

@Satellite()
export class Filelog extends Plugin {
  /** Writes {time, service, nodes} for each change, a line each. */
  @Reactor({ config: configSchema })
  async append({ file, maxBytes }: z.infer<typeof configSchema>, { service }: EndpointContext) {
    await access(dirname(file), constants.W_OK).catch((error: unknown) => {
      throw new Error(`cfg.file: the directory ${dirname(file)} cannot be written to: ${(error as NodeJS.ErrnoException).code ?? ''}`);
    });
    return {
      react: async (nodes: ServiceEvent) => {
        const line = Buffer.from(`${JSON.stringify({ time: new Date().toISOString(), service, nodes })}\n`);
        const { size } = await stat(file).catch(() => ({ size: 0 }));
        if (size > 0 && size + line.length > maxBytes) await rename(file, `${file}.1`);
        await appendFile(file, line);
      },
    };
  }
}
