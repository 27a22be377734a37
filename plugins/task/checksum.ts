/** Work that computes the checksum of its payload, whatever its size. */
import { createHash } from 'node:crypto';
import { Plugin, Satellite, Work, type WorkContext } from 'co2-relay';
import { z } from 'zod';

const params = z.strictObject({
  algorithm: z.enum(['sha256', 'sha512', 'sha3-256', 'sha1', 'md5']).default('sha256'),
});

/** Runs in a process of its own: a large payload takes the processor for seconds. */
@Satellite({ isolation: 'inline' })
export class Checksum extends Plugin {
  /** Yields {algorithm, digest, bytes} of the payload. `algorithm` is sha256 (the default), sha512, sha3-256, sha1 or md5. */
  @Work({ payload: 'stream', params })
  async *execute(payload: AsyncIterable<Buffer>, { params: { algorithm } }: WorkContext<z.infer<typeof params>>) {
    const hash = createHash(algorithm);
    let bytes = 0;
    for await (const chunk of payload) {
      hash.update(chunk);
      bytes += chunk.length;
    }
    yield { algorithm, digest: hash.digest('hex'), bytes };
  }
}
