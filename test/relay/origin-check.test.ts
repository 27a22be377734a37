/** May this link speak for that host_id: each case judged twice, by the relay and by an oracle written from the protocol alone. */
import { isIPv4 } from 'node:net';
import test from 'ava';
import fc from 'fast-check';
import { checkOrigin } from '../../src/relay/origin-check.ts';
import type { Ingress } from '../../src/relay/origin-check.ts';
import type { Attestation } from '../../src/message/message.ts';

const SELF = 'self@192.0.2.1:2004';
const random = (): string => 'minted';

/** An address and its spellings; `canHave`: false where no host can have it. Written down, not computed. */
interface Address {
  readonly canonical: string;
  readonly spellings: readonly string[];
  readonly canHave: boolean;
  readonly loopback: boolean;
}

const ADDRESSES: readonly Address[] = [
  { canonical: '10.0.0.1', spellings: ['10.0.0.1', '[::ffff:10.0.0.1]', '[::FFFF:a00:1]'], canHave: true, loopback: false },
  { canonical: '203.0.113.7', spellings: ['203.0.113.7', '[0:0:0:0:0:ffff:203.0.113.7]'], canHave: true, loopback: false },
  { canonical: '2001:db8::1', spellings: ['[2001:db8::1]', '[2001:DB8:0:0::1]', '2001:db8::1'], canHave: true, loopback: false },
  { canonical: 'fe80::1%eth0', spellings: ['[fe80::1%eth0]'], canHave: true, loopback: false },
  { canonical: 'fe80::1%eth1', spellings: ['[fe80::1%eth1]'], canHave: true, loopback: false },
  { canonical: '127.0.0.1', spellings: ['127.0.0.1', '[::ffff:127.0.0.1]'], canHave: true, loopback: true },
  { canonical: '::1', spellings: ['[::1]', '[0::0:1]'], canHave: true, loopback: true },
  { canonical: '0.0.0.0', spellings: ['0.0.0.0', '[::ffff:0.0.0.0]'], canHave: false, loopback: false },
  { canonical: '::', spellings: ['[::]'], canHave: false, loopback: false },
  { canonical: '224.0.0.1', spellings: ['224.0.0.1'], canHave: false, loopback: false },
  { canonical: 'ff02::1', spellings: ['[ff02::1]'], canHave: false, loopback: false },
];
const POSSIBLE = ADDRESSES.filter(({ canHave }) => canHave);

const MALFORMED = [
  '',
  'x',
  'a@',
  '@1.2.3.4:1',
  'a@host:1',
  'a@10.1:1',
  'a@0x0a.0.0.1:1',
  'a@10.0.0.1',
  'a@10.0.0.1:99999',
  'a@010.0.0.1:1',
  ' a@10.0.0.1:1',
];

interface Claim {
  readonly text: string | undefined;
  /** Undefined where it is malformed. */
  readonly address: Address | undefined;
}

const CLAIMS: readonly Claim[] = [
  { text: undefined, address: undefined },
  ...MALFORMED.map((text) => ({ text, address: undefined })),
  ...ADDRESSES.flatMap((address) => address.spellings.map((spelling, index) => ({ text: `r@${spelling}:${2000 + index}`, address }))),
];

// Section 3: "host_id absent: the relay writes <random>@<client ip>:0; present: its address must match the client's."
function clientPasses(claim: Claim, client: Address): boolean {
  if (claim.text === undefined) return true;
  return claim.address?.canHave === true && claim.address.canonical === client.canonical;
}

interface PeerCase {
  readonly claim: Claim;
  readonly peer: Address;
  readonly by: Claim;
  readonly observed: Address | 'damaged' | undefined;
}

// "From a peer: the last hop co2.by must match the link"; "a loopback host_id passes only from a loopback client; it is never forwarded
// un-attested".
function peerPasses({ claim, peer, by, observed }: PeerCase): boolean {
  if (by.address?.canHave !== true || by.address.canonical !== peer.canonical) return false;
  if (claim.address?.canHave !== true) return false;
  if (!claim.address.loopback || peer.loopback) return true;
  return typeof observed === 'object' && observed.canonical === claim.address.canonical;
}

function attestationOf(observed: PeerCase['observed']): Attestation | undefined {
  if (observed === undefined) return undefined;
  if (observed === 'damaged') return { by: 'nobody', observedIp: 'nowhere', verdict: 'checked' };
  return { by: 'first@198.51.100.1:2004', observedIp: observed.canonical, verdict: 'checked' };
}

const wire = ({ canonical }: Address): string => (isIPv4(canonical) ? canonical : `[${canonical}]`);

test('clients: every claim from every address, and no verdict differs from the protocol', (t) => {
  const seen = { accepted: 0, refused: 0 };
  for (const client of POSSIBLE) {
    for (const claim of CLAIMS) {
      const verdict = checkOrigin(claim.text, { kind: 'client', address: client.canonical, isDirect: true }, SELF, random);
      const what = `${claim.text ?? 'no host_id'} from ${client.canonical}`;
      t.is(verdict.accepted, clientPasses(claim, client), what);
      seen[verdict.accepted ? 'accepted' : 'refused']++;
      if (!verdict.accepted) continue;
      t.is(verdict.verdict, 'checked', what);
      t.deepEqual(verdict.attestation, { by: SELF, observedIp: client.canonical, verdict: 'checked' }, what);
      const port = claim.text === undefined ? '0' : claim.text.split(':').at(-1)!;
      t.is(verdict.hostId, `${claim.text === undefined ? 'minted' : 'r'}@${wire(client)}:${port}`, 'one spelling of the address');
    }
  }
  t.true(seen.accepted >= 20 && seen.refused >= 120, JSON.stringify(seen));
});

test('peers: every claim, by and attestation, and no verdict differs from the protocol', (t) => {
  const seen = { accepted: 0, refused: 0 };
  for (const peer of POSSIBLE) {
    for (const by of CLAIMS.filter(({ text }) => text !== undefined)) {
      for (const claim of CLAIMS) {
        for (const observed of [undefined, 'damaged', ...POSSIBLE] as const) {
          const stamp = { id: 'id', hops: 3, age: 0, by: by.text!, via: [], attestation: attestationOf(observed) };
          const verdict = checkOrigin(claim.text, { kind: 'peer', address: peer.canonical, stamp }, SELF, random);
          const expected = peerPasses({ claim, peer, by, observed });
          seen[expected ? 'accepted' : 'refused']++;
          if (verdict.accepted !== expected)
            t.fail(`${claim.text ?? 'none'} by ${stamp.by} from ${peer.canonical} attested ${JSON.stringify(observed)}`);
          if (!verdict.accepted) continue;
          const attested = typeof observed === 'object' && observed.canonical === claim.address?.canonical;
          if (verdict.verdict !== (attested ? 'attested' : 'vouched')) t.fail(`${claim.text ?? ''}: ${verdict.verdict}`);
          if ((verdict.attestation !== undefined) !== attested) t.fail('an attestation that attests nothing travels on');
        }
      }
    }
  }
  t.true(seen.accepted >= 120 && seen.refused >= 120, JSON.stringify(seen));
});

for (const claimed of [null, 5, true, [], {}, new Date(0), Buffer.from('a@10.0.0.1:1')]) {
  test(`a host_id of type ${Object.prototype.toString.call(claimed)} is refused`, (t) => {
    t.false(checkOrigin(claimed, { kind: 'client', address: '10.0.0.1', isDirect: true }, SELF, random).accepted);
  });
}

test('any bytes as host_id: never accepted for an address that they do not name, never a throw', (t) => {
  const ingress: Ingress = { kind: 'client', address: '10.0.0.1', isDirect: true };
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string().map((text) => `${text}@10.0.0.2:80`),
      ),
      (text) => {
        t.false(checkOrigin(text, ingress, SELF, random).accepted);
      },
    ),
  );
});

test('a refusal names the caller and the reason in one sanitized line', (t) => {
  const ingress: Ingress = { kind: 'client', address: '10.0.0.1', isDirect: true };
  const reasonOf = (claimed: unknown): string => {
    const verdict = checkOrigin(claimed, ingress, SELF, random);
    return verdict.accepted ? '' : verdict.reason;
  };
  t.is(reasonOf('r@10.0.0.2:80'), "host_id 'r@10.0.0.2:80' does not belong to 10.0.0.1, where it came from");
  t.regex(reasonOf(`x\n\u001b[31m${'y'.repeat(5000)}`), /^[\x20-\uffff]{1,300}$/);
  const stamp = { id: 'i', hops: 1, age: 0, by: 'p@10.0.0.7:80', via: [] };
  const verdict = checkOrigin('r@10.0.0.2:80', { kind: 'peer', address: '10.0.0.8', stamp }, SELF, random);
  t.regex(verdict.accepted ? '' : verdict.reason, /10\.0\.0\.7.*10\.0\.0\.8.*publicAddress/);
});

test('a caller behind an untrusted proxy cannot name a host_id, and its address is not attested', (t) => {
  const ingress: Ingress = { kind: 'client', address: '127.0.0.1', isDirect: false };
  t.like(checkOrigin('root@127.0.0.1:22', ingress, SELF, random), { accepted: false });
  t.deepEqual(checkOrigin(undefined, ingress, SELF, random), {
    ...{ accepted: true, hostId: 'minted@127.0.0.1:0', verdict: 'checked', attestation: undefined },
  });
});
