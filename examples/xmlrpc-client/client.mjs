/** Calls a relay with the npm package `xmlrpc`: `node examples/xmlrpc-client/client.mjs http://127.0.0.1:2004`. */
import xmlrpc from 'xmlrpc';

const client = xmlrpc.createClient(new URL('/RPC2', process.argv[2] ?? 'http://127.0.0.1:2004').href);

/** @param {string} method @param {unknown[]} params @returns {Promise<unknown>} */
const call = (method, params) =>
  new Promise((resolve, reject) => {
    client.methodCall(method, params, (/** @type {unknown} */ error, /** @type {unknown} */ value) => {
      if (error instanceof Error) reject(error);
      else resolve(value);
    });
  });

const names = /** @type {string[]} */ (await call('co2.get_method_names', []));
console.log(`${names.length} methods, among them ${names.filter((name) => name.startsWith('example.')).join(', ')}`);
console.log(`2 + 3 = ${String(await call('example.echo.add', [2, 3]))}`);
console.log(`notify: ${String(await call('notify', [{ data: 'hello from npm xmlrpc' }]))}`);
try {
  await call('no.such.method', []);
} catch (fault) {
  const { faultCode, faultString } = /** @type {{ faultCode: number, faultString: string }} */ (fault);
  console.log(`fault ${faultCode}: ${faultString}`);
}
