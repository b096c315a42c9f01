// Requests to actord. Credentials go in a header that this page sets: there is no cookie, so no other page can use them.

import { heard, lost, onTrial } from './link.js';

/** So long may a question take; what changes something may wait for an instance, and has no such end. */
const PATIENCE = 20_000;

let credentials = null;
let refused = () => {};

/** Sends this as `Authorization` from now on; null: nothing. */
export function useCredentials(header) {
	credentials = header;
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

	/** Whether this actord has no such route. To a token an unknown route is a 403 that asks for the password. */
	get isMissing() {
		return (
			this.status === 405 ||
			(this.status === 404 && this.message.includes('page not found')) ||
			(this.status === 403 && this.message.includes('needs the user with the password'))
		);
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
	if (answer.status === 401 && authorization === undefined) refused(text);
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

/** The same, or null where this actord has no such route. */
export async function getIfThere(path, query, signal) {
	try {
		return await get(path, query, signal);
	} catch (error) {
		if (error instanceof ApiError && error.isMissing) return null;
		throw error;
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
