// Streams that go on: server-sent events and lines of JSON, both by fetch, since an EventSource can't send credentials.
// A stream that breaks is begun again after 0.5 to 5 seconds, with the id of the last event. One that nobody sees ends, too, and
// is begun again when the page is seen.

import { ApiError, isLeft, send } from './api.js';
import { sleep } from './tasks.js';

/** actord sends something each 15 seconds. After this long a connection is dead, whatever the browser thinks. */
const SILENCE = 45_000;
const WAIT_MIN = 500;
const WAIT_MAX = 5000;
/** So many seconds may a page be hidden before its streams end: a browser has six connections to actord, for all its tabs. */
const HIDDEN = 5;

/** The text of an answer line by line, as it comes. */
export async function* lines(answer, beat) {
	const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
	let left = '';
	try {
		for (;;) {
			const { value, done } = await reader.read();
			if (done) return;
			beat();
			const all = (left + value).split('\n');
			left = all.pop();
			// Both ends of a line are heeded; what strangers wrote is escaped in JSON and has none.
			for (const line of all) yield line.endsWith('\r') ? line.slice(0, -1) : line;
		}
	} finally {
		reader.cancel().catch(() => {});
	}
}

/** Lines of `text/event-stream` put together to events: `{ id, event, data }`. */
class Frames {
	#event = {};

	/** The event that this line ends, if it is one's end. */
	line(line) {
		if (line === '') {
			const ended = this.#event;
			this.#event = {};
			return ended.data === undefined && ended.id === undefined ? null : ended;
		}
		const colon = line.indexOf(':');
		const name = colon < 0 ? line : line.slice(0, colon);
		const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
		if (name === 'data') this.#event.data = this.#event.data === undefined ? value : `${this.#event.data}\n${value}`;
		else if (name === 'id' || name === 'event') this.#event[name] = value;
		return null;
	}
}

/** Reads an answer's lines until it ends; one that is silent for too long is given up. */
export async function read(path, query, signal, { opened, line, silence = SILENCE, headers }) {
	const silent = new AbortController();
	let timer;
	const beat = () => {
		clearTimeout(timer);
		if (silence) timer = setTimeout(() => silent.abort(), silence);
	};
	try {
		beat();
		const answer = await send('GET', path, { query, signal: AbortSignal.any([signal, silent.signal]), headers });
		opened?.(answer);
		for await (const each of lines(answer, beat)) line(each);
	} catch (error) {
		if (signal.aborted || error instanceof ApiError) throw error;
		// The connection broke, or was silent: both are an end like any other.
	} finally {
		clearTimeout(timer);
	}
}

/**
 * Keeps a stream up while the page is seen. `work` reads it to its end, and gives back after how many seconds it may be asked for
 * again, if that was said; false: never.
 */
export async function keepUp(signal, work) {
	let wait = WAIT_MIN;
	while (!signal.aborted) {
		if (document.hidden) {
			await sleep(WAIT_MIN, signal);
			continue;
		}
		const hidden = new AbortController();
		let seconds = 0;
		const look = setInterval(() => {
			seconds = document.hidden ? seconds + 1 : 0;
			if (seconds > HIDDEN) hidden.abort();
		}, 1000);
		const began = performance.now();
		const pause = await work(AbortSignal.any([signal, hidden.signal])).finally(() => clearInterval(look));
		if (pause === false) return;
		if (hidden.signal.aborted) continue;
		// That a head comes says nothing yet: one that ends at once is not asked for twice a second for ever.
		if (performance.now() - began > WAIT_MAX) wait = WAIT_MIN;
		// Not all pages of an office ask at the same moment after a restart.
		await sleep(pause ? pause * 1000 * (1 + Math.random() / 2) : wait * (0.75 + Math.random() / 2), signal);
		wait = Math.min(wait * 2, WAIT_MAX);
	}
}

/** Follows `/system/events` until the signal ends it. */
export function follow(signal, { opened, event, ended }) {
	let lastId;
	let hidden = false;
	return keepUp(signal, async (sight) => {
		try {
			const frames = new Frames();
			await read('/system/events', { after: lastId }, sight, {
				headers: { Accept: 'text/event-stream' },
				opened: () => {
					// Loads have no number: those of the time when nobody looked are in the history alone.
					opened(lastId !== undefined && !hidden);
					hidden = false;
				},
				line: (line) => {
					const frame = frames.line(line);
					if (!frame) return;
					if (frame.id) lastId = frame.id;
					const data = frame.data && parsed(frame.data);
					if (data) event(frame.event, data, frame.id);
				},
			});
			ended(null);
		} catch (error) {
			if (sight.aborted) {
				hidden = true;
				return;
			}
			if (isLeft(error) || error.status === 401) return false;
			ended(error);
			return error.retryAfter;
		}
	});
}

/** What a line says; one that can't be read says nothing, and does not end what comes after it. */
export function parsed(text) {
	try {
		return JSON.parse(text);
	} catch {
		return null;
	}
}
