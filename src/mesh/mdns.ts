/** Announces and finds services on the local network by mDNS: a library, behind a socket that passes on only what it can bear. */
import { createSocket } from 'node:dgram';
import type { RemoteInfo, Socket } from 'node:dgram';
import { EventEmitter } from 'node:events';
import { networkInterfaces } from 'node:os';
import type { NetworkInterfaceInfo } from 'node:os';
// Loaded when it is needed: most relays do not.
import type { Service, ServiceConfig, Browser } from 'bonjour-service';
import ipaddr from 'ipaddr.js';
import { reasonOf } from '../core/core.ts';
import type { Clock, Log } from '../core/core.ts';

/** A service as somebody on the network announces it. */
export interface Sighting {
  /** Where the packet came from. */
  readonly address: string;
  readonly port: number;
  /** The key-value pairs of the TXT record: untrusted text. */
  readonly txt: Readonly<Record<string, string | undefined>>;
}

/** What is announced. */
export interface OwnService {
  readonly name: string;
  /** A name of its own, so that the announcement is not in conflict with that of the system. */
  readonly host: string;
  readonly port: number;
  /** At most 255 bytes each, with the key. */
  readonly txt: Readonly<Record<string, string>>;
}

export interface MdnsParts {
  /** The UDP port. */
  readonly port: number;
  /** Sends and listens on the network interface with this address. Undefined: listens on all, and sends on the default one. */
  readonly address: string | undefined;
  readonly onUp: (sighting: Sighting) => void;
  /** It said goodbye. */
  readonly onDown: (sighting: Sighting) => void;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Pick<Log, 'debug'>;
}

const TYPE = 'co2';
// RFC 6762, section 17.
const MAX_PACKET_BYTES = 9000;
// A machine with dozens of network interfaces sends fewer.
const MAX_RECORDS = 100;
// Each question is answered by a packet of its own.
const MAX_QUESTIONS = 4;
// Dozens of relays of one machine answer each other within a second.
const MAX_PER_SECOND = 120;
const MAX_FROM_ONE_PER_SECOND = 60;
// Processor time per second. The library compares each record of a packet with each: a usual packet takes 0.1 ms, and the worst 15 ms.
const MAX_MS_PER_SECOND = 100;
const MAX_MS_FROM_ONE_PER_SECOND = 40;
// The library keeps every name that it sees; what it keeps is dropped at the next look.
const MAX_SERVICES = 512;
// Labels of DNS with their lengths in front. Everything else on the network concerns other programs.
const LABELS = ['\u0004_co2', '\u0009_services'];
// The service for secrets of machines in clouds; no relay has this address.
const METADATA = '169.254.169.254';

/** What the library takes besides the options that its types declare. */
interface LibraryOptions extends Partial<ServiceConfig> {
  readonly socket: EventEmitter;
  readonly bind: false;
  readonly interface?: string | undefined;
}

/** An open socket for mDNS. */
export class Mdns {
  readonly #parts: MdnsParts;
  readonly #bonjour: import('bonjour-service').Bonjour;
  #browser: Browser | undefined;

  private constructor(parts: MdnsParts, bonjour: import('bonjour-service').Bonjour) {
    this.#parts = parts;
    this.#bonjour = bonjour;
  }

  /** Opens it. Rejects with an error of the system if the port cannot be used. */
  static async open(parts: MdnsParts): Promise<Mdns> {
    const { default: Bonjour } = await import('bonjour-service');
    const { port, address, log } = parts;
    const socket = createSocket({ type: 'udp4', reuseAddr: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      // To an address of its own, the socket would not get what is sent to the group.
      socket.bind(port, () => {
        socket.off('error', reject);
        resolve();
      });
    });
    socket.on('error', (error) => {
      log.debug(`discovery: ${reasonOf(error)}`);
    });
    const shown = shownSocket(socket, parts);
    const options: LibraryOptions = { socket: shown, bind: false, port, interface: address };
    const bonjour = new Bonjour(options, (error: unknown) => {
      log.debug(`discovery: ${reasonOf(error)}`);
    });
    // The library joins the multicast group then.
    shown.emit('listening');
    return new Mdns(parts, bonjour);
  }

  /** Announces this service from now on, until {@link stop}. */
  announce({ name, host, port, txt }: OwnService): void {
    // Its name is its own, and the library would print to stdout if somebody claimed it.
    this.#bonjour.publish({ name, host, port, txt, type: TYPE, probe: false });
  }

  /**
   * Asks who is there. Each service that answers is reported once, until the next look: the library reports one that it knows only when it
   * changes, and misses some that were announced before.
   */
  look(): void {
    const { onUp, onDown } = this.#parts;
    this.#browser?.stop();
    const browser = this.#bonjour.find({ type: TYPE });
    const report = (service: Service): void => {
      const sighting = sightingOf(service);
      if (sighting) onUp(sighting);
      if (browser.services.length >= MAX_SERVICES) browser.stop();
    };
    browser.on('up', report);
    browser.on('txt-update', report);
    browser.on('srv-update', report);
    browser.on('down', (service) => {
      const sighting = sightingOf(service);
      if (sighting) onDown(sighting);
    });
    this.#browser = browser;
  }

  /** Says goodbye for what was announced, and closes the socket. */
  async stop(): Promise<void> {
    this.#browser?.stop();
    await new Promise<void>((resolve) => {
      this.#bonjour.unpublishAll(() => {
        resolve();
      });
    });
    await new Promise<void>((resolve) => {
      this.#bonjour.destroy(() => {
        resolve();
      });
    });
  }
}

function sightingOf({ referer, port, txt }: Service): Sighting | undefined {
  const pairs: unknown = txt;
  if (referer === undefined || typeof pairs !== 'object' || pairs === null) return undefined;
  return { address: referer.address, port, txt: pairs as Sighting['txt'] };
}

/** The socket as the library sees it: without errors, and without packets that are not for it or would cost too much. */
function shownSocket(socket: Socket, { address, clock, log }: MdnsParts): EventEmitter {
  const shown = Object.assign(new EventEmitter(), {
    send: socket.send.bind(socket),
    close: socket.close.bind(socket),
    address: socket.address.bind(socket),
    addMembership: socket.addMembership.bind(socket),
    dropMembership: socket.dropMembership.bind(socket),
    setMulticastTTL: socket.setMulticastTTL.bind(socket),
    setMulticastLoopback: socket.setMulticastLoopback.bind(socket),
    setMulticastInterface: socket.setMulticastInterface.bind(socket),
  });
  const budget = new Budget(clock);
  socket.on('message', (packet: Buffer, { address: from, ...rest }: RemoteInfo) => {
    if (!isForUs(packet) || !isNeighbour(from, address, budget.interfaces()) || !budget.take(from)) return;
    const began = clock.now();
    try {
      shown.emit('message', packet, { address: from, ...rest });
    } catch (error) {
      // Strangers choose what the library reads.
      log.debug(`discovery: a packet of ${from} cannot be read: ${reasonOf(error)}`);
    }
    budget.charge(from, clock.now() - began);
  });
  return shown;
}

/** True for a packet of a bounded number of records that has to do with us. */
function isForUs(packet: Buffer): boolean {
  if (packet.length < 12 || packet.length > MAX_PACKET_BYTES) return false;
  // The header: id, flags, and the numbers of questions, answers, authorities and additional records.
  const records = packet.readUInt16BE(6) + packet.readUInt16BE(8) + packet.readUInt16BE(10);
  return packet.readUInt16BE(4) <= MAX_QUESTIONS && records <= MAX_RECORDS && LABELS.some((label) => packet.includes(label));
}

type Interfaces = ReturnType<typeof networkInterfaces>;

interface Share {
  packets: number;
  ms: number;
}

/** How much is read, in all and from one address, in each second. */
class Budget {
  readonly #from = new Map<string, Share>();
  #total: Share = { packets: 0, ms: 0 };
  #interfaces = networkInterfaces();
  #since = -Infinity;

  constructor(private readonly clock: Pick<Clock, 'now'>) {}

  /** The network interfaces of this machine, which change at times. */
  interfaces(): Interfaces {
    const now = this.clock.now();
    if (now - this.#since >= 1000) {
      this.#since = now;
      this.#total = { packets: 0, ms: 0 };
      this.#from.clear();
      this.#interfaces = networkInterfaces();
    }
    return this.#interfaces;
  }

  /** Counts a packet; false if it is too many. */
  take(address: string): boolean {
    const from = this.#from.get(address) ?? { packets: 0, ms: 0 };
    if (this.#total.packets >= MAX_PER_SECOND || this.#total.ms >= MAX_MS_PER_SECOND) return false;
    if (from.packets >= MAX_FROM_ONE_PER_SECOND || from.ms >= MAX_MS_FROM_ONE_PER_SECOND) return false;
    this.#total.packets++;
    from.packets++;
    this.#from.set(address, from);
    return true;
  }

  /** Counts the time that a packet took. */
  charge(address: string, ms: number): void {
    this.#total.ms += ms;
    const from = this.#from.get(address);
    if (from) from.ms += ms;
  }
}

/**
 * True if the address is in a network to which this machine is attached (RFC 6762, section 11), on the interface with the address `own` or
 * on any but loopback. `interfaces` are those of the machine, which has every address in the network of its loopback interface.
 */
export function isNeighbour(address: string, own: string | undefined, interfaces: Interfaces): boolean {
  if (!ipaddr.IPv4.isValidFourPartDecimal(address) || address === METADATA) return false;
  const parsed = ipaddr.IPv4.parse(address);
  const isOn = ({ address: listens, cidr, internal }: NetworkInterfaceInfo): boolean => {
    if (cidr === null || listens.includes(':')) return false;
    const network = ipaddr.IPv4.parseCIDR(cidr);
    const isOwn = listens === own || (internal && own !== undefined && ipaddr.IPv4.parse(own).match(network));
    return (own === undefined ? !internal : isOwn) && parsed.match(network);
  };
  return Object.values(interfaces).some((infos) => infos?.some(isOn));
}
