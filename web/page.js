// @ts-check
/**
 * The script of the page: keeps the states current, searches methods, calls them by the JSON endpoint of the same origin, copies lines, and
 * shows what a token may see. It is optional: without it the page can be read, and what needs it is hidden.
 */
(() => {
  'use strict';

  // The relay may be behind a proxy that serves it under a path.
  const base = new URL('.', location.href);
  const TOKEN = 'co2-relay token';
  // More would make the browser slow; a program is the better reader of such an answer.
  const MAX_SHOWN = 100_000;
  // Often enough to watch a plugin recover, and rarely enough for a tab that stays open.
  const FOLLOW_MS = 5000;
  const MAX_FAILURES = 3;
  const ANSWER_MS = 10_000;

  /** Shows what only works with this script. */
  const reveal = () => {
    for (const element of document.querySelectorAll('[data-script]')) if (element instanceof HTMLElement) element.hidden = false;
    showSearch();
  };

  /** @returns {Record<string, string>} */
  const authorization = () => {
    const token = sessionStorage.getItem(TOKEN);
    return token === null ? {} : { authorization: `Bearer ${token}` };
  };

  /**
   * Replaces the part of the page with this id by its present state, as the token may see it.
   * @param {string} id
   */
  const refresh = async (id) => {
    const message = document.querySelector('.message');
    if (message) message.textContent = '';
    try {
      const answer = await fetch(location.pathname + location.search, { headers: { accept: 'text/html', ...authorization() } });
      const text = await answer.text();
      if (!answer.ok) throw new Error(text);
      const fresh = new DOMParser().parseFromString(text, 'text/html').getElementById(id);
      const old = document.getElementById(id);
      if (fresh && old) old.replaceWith(document.adoptNode(fresh));
      reveal();
      failures = 0;
      followSoon();
    } catch (error) {
      if (message) message.textContent = error instanceof Error ? error.message : String(error);
    }
  };

  // Following: the states are brought up to date while the page is visible.

  let failures = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  const followSoon = (ms = FOLLOW_MS) => {
    clearTimeout(timer);
    const isShown = document.visibilityState === 'visible' && document.querySelector('#live .group') !== null;
    if (isShown && failures < MAX_FAILURES) timer = setTimeout(() => void follow(), ms);
  };

  const follow = async () => {
    try {
      const signal = AbortSignal.timeout(ANSWER_MS);
      const answer = await fetch(`${location.pathname}?part=state`, { headers: { accept: 'text/html', ...authorization() }, signal });
      const text = await answer.text();
      // The relay counts wrong tokens, so a refused one is not sent again.
      if (answer.status === 401 || answer.status === 403) failures = MAX_FAILURES;
      if (!answer.ok) throw new Error(text);
      failures = 0;
      showStates(new DOMParser().parseFromString(text, 'text/html'));
    } catch (error) {
      failures++;
      const message = document.querySelector('.message');
      const reason = error instanceof Error ? error.message : String(error);
      if (failures >= MAX_FAILURES && message)
        message.textContent = `The states are no longer updated (${reason.trim()}). Press Refresh to try again.`;
    }
    followSoon();
  };

  /**
   * Replaces what has changed, so that the focus and a selection elsewhere stay.
   * @param {Document} fresh
   */
  const showStates = (fresh) => {
    const parts = ['header a[href="readyz"]', '#live .group'];
    for (const part of parts) {
      const olds = [...document.querySelectorAll(part)];
      for (const [index, element] of [...fresh.querySelectorAll(part)].entries()) {
        const old = olds[index];
        if (!old || old.innerHTML === element.innerHTML) continue;
        const focused = old.contains(document.activeElement) ? document.activeElement?.getAttribute('href') : undefined;
        old.replaceChildren(...[...element.childNodes].map((node) => document.adoptNode(node)));
        for (const link of old.querySelectorAll('a')) if (link.getAttribute('href') === focused) link.focus({ preventScroll: true });
      }
    }
  };

  document.addEventListener('visibilitychange', () => {
    followSoon(0);
  });

  // Search.

  const showSearch = () => {
    const input = document.getElementById('search');
    if (!(input instanceof HTMLInputElement)) return;
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const group of document.querySelectorAll('details.group')) {
      if (!(group instanceof HTMLDetailsElement)) continue;
      let matching = 0;
      for (const method of group.querySelectorAll('.method')) {
        if (!(method instanceof HTMLElement)) continue;
        const text = (method.dataset.search ?? '').toLowerCase();
        method.hidden = !words.every((word) => text.includes(word));
        if (!method.hidden) matching++;
      }
      group.hidden = matching === 0;
      group.open = words.length === 0 ? group.dataset.open === 'yes' : matching > 0;
      found += matching;
    }
    const none = document.getElementById('none');
    if (none) none.hidden = found > 0;
  };

  /** Opens the method that the address names. */
  const openTarget = () => {
    let id = location.hash.slice(1);
    try {
      id = decodeURIComponent(id);
    } catch {
      // Not encoded: somebody typed it.
    }
    const target = document.getElementById(location.hash.slice(1)) ?? document.getElementById(id);
    const group = target?.closest('details.group');
    if (group instanceof HTMLDetailsElement) group.open = true;
    const details = target?.querySelector('details');
    if (details) details.open = true;
    if (location.hash !== '') target?.scrollIntoView();
  };

  // Calls.

  /**
   * The JSON of one parameter. Numbers stay texts, so that no digit is lost.
   * @param {HTMLInputElement | HTMLTextAreaElement} field
   * @returns {string}
   */
  const jsonOf = (field) => {
    const type = field.dataset.type ?? 'json';
    const { value } = field;
    switch (type) {
      case 'boolean':
        return String(field instanceof HTMLInputElement && field.checked);
      case 'int':
      case 'i8': {
        if (!/^\s*[+-]?\d+\s*$/.test(value)) throw new Error(`"${value}" is not a whole number`);
        const digits = BigInt(value.trim().replace('+', '')).toString();
        return type === 'int' ? digits : JSON.stringify({ $i8: digits });
      }
      case 'double': {
        const number = Number(value);
        if (value.trim() === '' || !Number.isFinite(number)) throw new Error(`"${value}" is not a number`);
        return Number.isInteger(number) && Math.abs(number) < 1e21 ? `${number}.0` : String(number);
      }
      case 'string':
        return JSON.stringify(value);
      case 'nil':
        return 'null';
      case 'date':
        return JSON.stringify({ $date: value.trim() });
      case 'base64':
        return JSON.stringify({ $base64: value.trim() });
      default:
        if (parse(value) === undefined) throw new Error(`"${value.slice(0, 100)}" is not JSON; write text in quotes`);
        return value;
    }
  };

  /**
   * The value of a JSON text; undefined if it is none.
   * @param {string} text
   * @returns {unknown}
   */
  const parse = (text) => {
    try {
      return JSON.parse(text);
    } catch {
      return undefined;
    }
  };

  /**
   * The answer, indented unless that would change a number.
   * @param {string} text
   */
  const readable = (text) => {
    const value = parse(text);
    return value !== undefined && JSON.stringify(value) === text ? JSON.stringify(value, null, 2) : text;
  };

  /**
   * @param {HTMLFormElement} form
   * @param {string} state
   * @param {boolean} isGood
   * @param {string} text
   */
  const show = (form, state, isGood, text) => {
    const label = document.createElement('span');
    label.className = `state ${isGood ? 'good' : 'bad'}`;
    label.textContent = state;
    const line = document.createElement('div');
    line.append(label);
    const result = document.createElement('pre');
    result.textContent = text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}\n(${text.length} characters)` : text;
    form.querySelector('output')?.replaceChildren(line, result);
  };

  /**
   * Calls the method of the form.
   * @param {HTMLFormElement} form
   */
  const call = async (form) => {
    const button = form.querySelector('button');
    form.querySelector('output')?.replaceChildren();
    try {
      const fields = /** @type {(HTMLInputElement | HTMLTextAreaElement)[]} */ ([...form.querySelectorAll('[data-type]')]);
      const [first] = fields;
      const params = first?.dataset.type === 'params' ? jsonOf(first) : `[${fields.map(jsonOf).join(',')}]`;
      if (button) button.disabled = true;
      const startedAt = performance.now();
      const answer = await fetch(new URL(`api/${encodeURIComponent(form.dataset.method ?? '')}`, base), {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...authorization() },
        body: params,
      });
      const text = await answer.text();
      const ms = Math.round(performance.now() - startedAt);
      if (answer.ok) show(form, `answered in ${ms} ms`, true, readable(text));
      else showFault(form, answer.status, text);
    } catch (error) {
      show(form, 'not called', false, error instanceof Error ? error.message : String(error));
    } finally {
      if (button) button.disabled = false;
    }
  };

  /**
   * @param {HTMLFormElement} form
   * @param {number} status
   * @param {string} text
   */
  const showFault = (form, status, text) => {
    const problem = parse(text);
    if (typeof problem === 'object' && problem !== null && 'code' in problem && 'detail' in problem)
      show(form, `fault ${String(problem.code)}`, false, String(problem.detail));
    else show(form, `HTTP ${status}`, false, text);
  };

  // Copying.

  /**
   * @param {HTMLButtonElement} button
   * @param {HTMLElement} source
   */
  const copy = async (button, source) => {
    const text = source.textContent;
    let isCopied = true;
    try {
      // Only there for https and this machine.
      await navigator.clipboard.writeText(text);
    } catch {
      getSelection()?.selectAllChildren(source);
      // eslint-disable-next-line @typescript-eslint/no-deprecated -- nothing else copies on a page without https
      isCopied = document.execCommand('copy');
    }
    button.textContent = isCopied ? 'Copied' : 'Press Ctrl-C';
    setTimeout(() => {
      button.textContent = 'Copy';
    }, 1500);
  };

  document.addEventListener('submit', (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement)) return;
    event.preventDefault();
    if (form.className === 'call') {
      void call(form);
      return;
    }
    const token = form.querySelector('input')?.value.trim() ?? '';
    if (token === '') sessionStorage.removeItem(TOKEN);
    else sessionStorage.setItem(TOKEN, token);
    void refresh('main');
  });

  document.addEventListener('click', (event) => {
    const button = event.target;
    if (!(button instanceof HTMLButtonElement)) return;
    if (button.id === 'refresh') void refresh('live');
    const source = button.closest('.example')?.querySelector('pre');
    if (source) void copy(button, source);
  });

  document.addEventListener('input', (event) => {
    if (event.target instanceof HTMLElement && event.target.id === 'search') showSearch();
  });

  document.addEventListener('keydown', (event) => {
    const isTyping = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
    if (event.key !== '/' || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    document.getElementById('search')?.focus();
  });

  addEventListener('hashchange', openTarget);

  reveal();
  openTarget();
  followSoon();
  if (sessionStorage.getItem(TOKEN) !== null) void refresh('main');
})();
