/** The types of the parts of undici that `http-pool.ts` loads one by one. */
declare module 'undici/lib/api/api-request.js' {
  import type { Dispatcher, Pool } from 'undici';
  const request: (this: Pool, options: Dispatcher.RequestOptions) => Promise<Dispatcher.ResponseData>;
  export default request;
}

declare module 'undici/lib/core/connect.js' {
  export { buildConnector as default } from 'undici';
}

declare module 'undici/lib/dispatcher/pool.js' {
  export { Pool as default } from 'undici';
}
