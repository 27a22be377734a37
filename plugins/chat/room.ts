/** A chat room over the network: what is said at one relay is heard at all that run this plugin. */
import { Exposed, Fault, Plugin, Satellite, type Dict, type Value } from 'co2-relay';

/** Lines that are remembered: an evening's talk; protects the relay's memory. */
const MAX_LINES = 200;
/** Characters of a nick and of a line: protects the readers' screens. */
const MAX_NICK = 40;
const MAX_TEXT = 1000;

/** Remembers the last lines, its own and those of other relays; nothing survives a restart. */
@Satellite()
export class Room extends Plugin {
  readonly #lines: string[] = [];

  /** Says a line to everybody in the network; answers the id of the message. */
  @Exposed({ params: ['string', 'string'], returns: 'string' })
  async say(nick: string, text: string): Promise<string> {
    if (nick.trim() === '' || nick.length > MAX_NICK) throw new Fault(1, `a nick has 1 to ${MAX_NICK} characters`);
    if (text.trim() === '' || text.length > MAX_TEXT) throw new Fault(2, `a line has 1 to ${MAX_TEXT} characters`);
    const id = await this.send({ data: { chat: { nick, text } } });
    this.#remember(nick, text);
    return id;
  }

  /** Answers the last `n` lines that were heard or said here, oldest first, each as `nick: text`. */
  @Exposed({ params: ['int'], returns: 'array' })
  history(n: number): string[] {
    return n > 0 ? this.#lines.slice(-n) : [];
  }

  /** Hears `{data: {chat: {nick, text}}}`; whatever else flows through the network is not for this room. */
  override receive(dict: Dict): void {
    const { nick, text } = members(members(dict.data).chat);
    if (typeof nick !== 'string' || typeof text !== 'string') return;
    this.#remember(nick.slice(0, MAX_NICK), text.slice(0, MAX_TEXT));
  }

  #remember(nick: string, text: string): void {
    this.#lines.push(`${nick}: ${text}`);
    if (this.#lines.length > MAX_LINES) this.#lines.shift();
  }
}

/** The members of a struct; none if it is something else. */
function members(value: Value | undefined): Readonly<Record<string, Value | undefined>> {
  return typeof value === 'object' && value !== null ? (value as Dict) : {};
}
