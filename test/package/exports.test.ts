/** The public exports of every entry of the package, including types: those listed here are documented, everything else is internal. */
import { fileURLToPath } from 'node:url';
import test from 'ava';
import ts from 'typescript';

const ENTRIES: Readonly<Record<string, readonly [file: string, exported: string]>> = {
  'co2-relay': [
    'src/plugin/plugin.ts',
    'CallOptions Carrier CarrierPeer Context Controller ControllerOptions Datasource DatasourceOptions DeliveryReport Dict Double EndpointContext EndpointOptions Exposed ' +
      'ExposedOptions Fault Frame HookContext HookPlace HookResult Inject Injectable Int64 LOGGER Logger NewFrame Plugin Reactor ReactorEndpoint Receive ' +
      'Refusal RelayHooks RelayPlugin RelayPluginOptions ReportedNode Satellite SatelliteInbox SatelliteOptions SendOptions SendTo Sendable ServiceEvent ServiceNode ' +
      'StandardSchema Value Watcher WatcherEndpoint WatcherReport Work WorkContext WorkOptions WorkPayload WorkResult XmlRpcType',
  ],
  'co2-relay/client': [
    'src/client/client.ts',
    'Capability ClientCallOptions ClientOptions ClientTlsOptions Dict Double ErrorCode ErrorData ErrorReason Int64 MulticallEntry MulticallResult RelayError RemoteFault RemoteMethod ' +
      'RemoteMethods Sendable Value XmlRpcClient createClient',
  ],
  'co2-relay/config': ['src/config/define-config.ts', 'Config Options defineConfig'],
  'co2-relay/relay': [
    'src/create-relay.ts',
    'AppStatus Config EmbeddedConfig RelayEnvironment RelayEvent RunningRelay SatelliteClass SatelliteClasses createRelay',
  ],
  'co2-relay/testing': [
    'src/testing/testing.ts',
    'Config Dict LogLine RelayError RemoteFault SatelliteClass Sendable TestCaller TestClock TestCommand TestFrame TestPlugins TestRelay TestRelayOptions TestSubmission TestWork Value createTestRelay joinTestRelays',
  ],
};

const root = fileURLToPath(new URL('../../', import.meta.url));
const files = Object.values(ENTRIES).map(([file]) => root + file);
const program = ts.createProgram(files, {
  allowImportingTsExtensions: true,
  noEmit: true,
  module: ts.ModuleKind.NodeNext,
  noResolve: false,
});
const checker = program.getTypeChecker();

for (const [entry, [file, exported]] of Object.entries(ENTRIES)) {
  test(`${entry} exports exactly what it documents`, (t) => {
    const source = program.getSourceFile(root + file);
    const symbol = source && checker.getSymbolAtLocation(source);
    const names = symbol ? checker.getExportsOfModule(symbol).map(({ name }) => name) : [];
    t.deepEqual(names.sort(), exported.split(' ').sort());
  });
}
