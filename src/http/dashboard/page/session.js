// Who is signed in, and what that one may do. The password or token is sent once; from then on a session is held, which
// ends by itself. It stays in sessionStorage, so that a reload keeps it and another tab does not have it.

import { ApiError, send, useCredentials } from './api.js';
import { keep, kept, tab } from './kept.js';
import { parsed } from './stream.js';

const KEY = 'actord-session';

/** `{ authorization, who, admin, scopes, namespaces, endsAt? }`, or null. */
export let session = null;

/** What is shown and offered goes by these. actord decides by itself, whatever the page shows. */
export const can = {
	get write() {
		return Boolean(session && (session.admin || session.scopes.includes('write')));
	},
	get admin() {
		return Boolean(session?.admin);
	},
};

/** Takes up what an earlier page of this tab kept. */
export function resume() {
	const about = parsed(kept(KEY, tab) ?? 'null');
	if (about?.authorization && !(about.endsAt && new Date(about.endsAt) <= new Date())) hold(about);
	return session;
}

/** Begins a session. A text that begins with `actord_` is a token, else it is the user's password. */
export async function signIn(user, secret) {
	const isToken = secret.startsWith('actord_');
	const authorization = isToken ? `Bearer ${secret}` : `Basic ${base64(`${user}:${secret}`)}`;
	try {
		const answer = await send('POST', '/system/session', { authorization });
		const { token, ...about } = await answer.json();
		hold({ ...about, authorization: `Bearer ${token}` });
	} catch (error) {
		if (!(error instanceof ApiError) || ![403, 404, 405].includes(error.status)) throw error;
		hold(await withoutSession(authorization, isToken ? 'token' : user, !isToken));
	}
	return session;
}

/** An actord without sessions, or a text that is a session's already: what was typed is sent each time. */
async function withoutSession(authorization, who, admin) {
	const about = await send('GET', '/system/session', { authorization }).then(
		(answer) => answer.json(),
		(error) => {
			if (error instanceof ApiError && [403, 404, 405].includes(error.status)) return null;
			throw error;
		},
	);
	if (about) return { ...about, authorization };
	await send('GET', '/system/info', { authorization });
	const scopes = ['read'];
	// Asks for nothing that can be done. Who may not write is told that first, with 403; who may, that a number is missing.
	const may = await send('POST', '/system/scale-function/none', { authorization, json: {} }).then(
		() => true,
		(error) => error.status === 400,
	);
	if (may) scopes.push('write');
	return { authorization, who, admin, scopes, namespaces: ['*'] };
}

function hold(about) {
	session = about;
	useCredentials(about?.authorization ?? null);
	keep(KEY, about && JSON.stringify(about), tab);
}

/** Forgets the credentials here. */
export const forget = () => hold(null);

/** Ends the session at actord, too. That it can't be reached keeps nobody signed in here. */
export async function signOut() {
	const leaving = send('DELETE', '/system/session', { patience: 3000 }).catch(() => {});
	hold(null);
	await leaving;
}

/** Base64 of the text's UTF-8: btoa takes bytes alone. */
const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
