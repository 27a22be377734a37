/** A chat room for the network: what is said at one relay is shown at all relays that run this plugin. */
import { Exposed, Fault, Plugin, Satellite, type Dict, type Value } from 'co2-relay';

/** The number of lines kept: an evening's talk; protects the relay's memory. */
const MAX_LINES = 200;
/** Characters of a nick and of a line: protects the readers' screens. */
const MAX_NICK = 40;
const MAX_TEXT = 1000;

/** Keeps the latest lines of this and other relays, in memory only. */
@Satellite()
export class Room extends Plugin {
  readonly #lines: string[] = [];

  /** Sends a line to the whole network; returns the id of the message. */
  @Exposed({ params: ['string', 'string'], returns: 'string' })
  async say(nick: string, text: string): Promise<string> {
    const chat = { nick: oneLine(nick), text: oneLine(text) };
    if (chat.nick === '' || chat.nick.length > MAX_NICK) throw new Fault(1, `a nick has 1 to ${MAX_NICK} characters`);
    if (chat.text === '' || chat.text.length > MAX_TEXT) throw new Fault(2, `a line has 1 to ${MAX_TEXT} characters`);
    const id = await this.send({ data: { chat } });
    this.#remember(chat.nick, chat.text);
    return id;
  }

  /** Returns the latest `n` lines, oldest first, each as `nick: text`. */
  @Exposed({ params: ['int'], returns: 'array' })
  history(n: number): string[] {
    return n > 0 ? this.#lines.slice(-n) : [];
  }

  /** Receives `{data: {chat: {nick, text}}}` and ignores other messages. */
  override receive(dict: Dict): void {
    const { nick, text } = members(members(dict.data).chat);
    if (typeof nick !== 'string' || typeof text !== 'string') return;
    this.#remember(oneLine(cut(nick, MAX_NICK)), oneLine(cut(text, MAX_TEXT)));
  }

  #remember(nick: string, text: string): void {
    if (nick === '' || text === '') return;
    this.#lines.push(`${nick}: ${text}`);
    if (this.#lines.length > MAX_LINES) this.#lines.shift();
  }
}

/** At most `max` characters; never ends in half of a surrogate pair, which no answer could contain. */
function cut(text: string, max: number): string {
  return text.slice(0, max).replace(/[\ud800-\udbff]$/, '');
}

/** The text without line breaks and other control characters, so that no one can fake a line of someone else. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]/gu, ' ').trim();
}

/** The members of a struct; empty for other values. */
function members(value: Value | undefined): Readonly<Record<string, Value | undefined>> {
  return typeof value === 'object' && value !== null ? (value as Dict) : {};
}
