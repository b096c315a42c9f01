// Streams that go on: server-sent events and lines of JSON, both by fetch, since an EventSource can't send credentials.
// A stream that breaks is begun again after 0.5 to 5 seconds, with the id of the last event.

import { ApiError, isLeft, send } from './api.js';
import { sleep } from './tasks.js';

/** actord sends something each 15 seconds. After this long a connection is dead, whatever the browser thinks. */
const SILENCE = 45_000;
const WAIT_MIN = 500;
const WAIT_MAX = 5000;

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
			return ended.data === undefined ? null : ended;
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

/** Follows `/system/events` until the signal ends it, or for good where this actord has no such route. */
export async function follow(signal, { opened, event, ended, missing }) {
	let lastId;
	let wait = WAIT_MIN;
	while (!signal.aborted) {
		let pause;
		try {
			const frames = new Frames();
			await read('/system/events', { after: lastId }, signal, {
				headers: { Accept: 'text/event-stream' },
				opened: () => {
					wait = WAIT_MIN;
					opened(lastId !== undefined);
				},
				line: (line) => {
					const frame = frames.line(line);
					if (!frame) return;
					if (frame.id) lastId = frame.id;
					const data = parsed(frame.data);
					if (data) event(frame.event, data, frame.id);
				},
			});
			ended(null);
		} catch (error) {
			if (isLeft(error) || signal.aborted) return;
			if (error instanceof ApiError && error.isMissing) {
				missing();
				return;
			}
			if (error.status === 401) return;
			pause = error.retryAfter;
			ended(error);
		}
		// Not all pages of an office ask at the same moment after a restart.
		await sleep(pause ? pause * 1000 : wait * (0.75 + Math.random() / 2), signal);
		wait = Math.min(wait * 2, WAIT_MAX);
	}
}

/** What a line says; one that can't be read says nothing, and does not end what comes after it. */
export function parsed(text) {
	try {
		return JSON.parse(text);
	} catch {
		return null;
	}
}
