// Requests to actord. Credentials go in a header that this page sets: there is no cookie, so no other page can use them.

import { heard, lost, onTrial } from './link.js';

/** So long may a question take; what changes something may wait for an instance, and has no such end. */
const PATIENCE = 20_000;

let credentials = null;
let refused = () => {};
const waiting = new Set();

/** Sends this as `Authorization` from now on; null: nothing. */
export function useCredentials(header) {
	credentials = header;
	if (!header) return;
	for (const go of waiting) go();
	waiting.clear();
}

/** Until somebody is signed in: a page that was open when a session ended asks on then. */
function signedIn(signal) {
	return new Promise((go, no) => {
		signal?.throwIfAborted();
		waiting.add(go);
		signal?.addEventListener('abort', () => waiting.delete(go) && no(signal.reason), { once: true });
	});
}

/** Calls back when the credentials do not hold any more. */
export function onRefused(listener) {
	refused = listener;
}

/** An answer that is not the one that was asked for, in actord's words. Status 0: there was none. */
export class ApiError extends Error {
	constructor(status, text, retryAfter) {
		super(text);
		this.name = 'ApiError';
		this.status = status;
		this.retryAfter = retryAfter;
	}
}

/** Whether an error only says that the page which asked is gone. */
export const isLeft = (error) => error?.name === 'AbortError';

export function address(path, query) {
	const pairs = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== null && value !== '');
	const text = new URLSearchParams(pairs).toString();
	return text ? `${path}?${text}` : path;
}

/** Sends a request and gives the answer back once its head is there. Any status from 400 on is thrown. */
export async function send(method, path, { query, json, signal, patience, authorization, headers } = {}) {
	if (!credentials && !authorization && path.startsWith('/system/')) {
		// A change that somebody asked for is never done for who signs in next.
		if (method !== 'GET') throw new ApiError(401, 'you are not signed in any more');
		await signedIn(signal);
	}
	const signals = [signal, patience && AbortSignal.timeout(patience)].filter(Boolean);
	const sent = { ...headers };
	const known = authorization ?? credentials;
	if (known) sent.Authorization = known;
	if (json !== undefined) sent['Content-Type'] = 'application/json';
	let answer;
	try {
		answer = await fetch(address(path, query), {
			method,
			headers: sent,
			body: json === undefined ? undefined : JSON.stringify(json),
			signal: AbortSignal.any(signals),
			cache: 'no-store',
			credentials: 'omit',
			redirect: 'error',
		});
	} catch (error) {
		if (signal?.aborted) throw error;
		lost();
		throw new ApiError(0, 'actord does not answer');
	}
	heard();
	if (answer.ok) return answer;
	const text = (await answer.text().catch(() => '')).trim().slice(0, 4000);
	const retryAfter = Number(answer.headers.get('Retry-After')) || undefined;
	if (answer.status === 503 && retryAfter && text.includes('on trial')) onTrial(retryAfter);
	// It may be that somebody has signed in again meanwhile.
	if (answer.status === 401 && known === credentials) refused();
	throw new ApiError(answer.status, text || word(answer.status), retryAfter);
}

/** What GET answers, as JSON. */
export async function get(path, query, signal) {
	const answer = await send('GET', path, { query, signal, patience: PATIENCE });
	try {
		return await answer.json();
	} catch (error) {
		if (signal?.aborted) throw error;
		lost();
		throw new ApiError(0, 'the answer of actord broke off');
	}
}

/** Changes something. An answer with a body gives that back, as JSON. */
export async function change(method, path, { query, json, signal } = {}) {
	const answer = await send(method, path, { query, json, signal });
	const text = await answer.text();
	return text && answer.headers.get('Content-Type')?.includes('json') ? JSON.parse(text) : undefined;
}

const word = (status) =>
	({ 404: 'not found', 429: 'too many requests', 503: 'not now: try again' })[status] ?? `actord answered with status ${status}`;

/** A function's path under /system. */
export const functionPath = (name, what) => `/system/function/${encodeURIComponent(name)}${what ? `/${what}` : ''}`;
