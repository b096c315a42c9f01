// Who is signed in, and what that one may do. The password or token is sent once; from then on a session is held, which
// ends by itself. It stays in sessionStorage, so that a reload keeps it and another tab does not have it.

import { send, useCredentials } from './api.js';
import { moment } from './format.js';
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

/**
 * Begins a session. A text that begins with `actord_` is a token, else it is the user's password. `stays`: no session, since that
 * has an end: the token itself is held, which has to be one that may look only.
 */
export async function signIn(user, secret, stays) {
	const isToken = secret.startsWith('actord_');
	const authorization = isToken ? `Bearer ${secret}` : `Basic ${base64(`${user}:${secret}`)}`;
	const before = session;
	const about =
		(!stays && (await begun(authorization, isToken))) || (await send('GET', '/system/session', { authorization }).then(told));
	if (stays && (about.admin || String(about.scopes) !== 'read'))
		throw new Error('Only a token that may read, and nothing else, is kept: actord token create --all-namespaces --read');
	hold({ authorization, ...about });
	// Who signs in again before the end needs the old one no more.
	if (before?.endsAt && before.authorization !== session.authorization)
		send('DELETE', '/system/session', { authorization: before.authorization }).catch(() => {});
}

const told = (answer) => answer.json();

/** A new session, or null if the text that was typed is a session's: such a one begins none. */
async function begun(authorization, isToken) {
	try {
		const { token, ...about } = await send('POST', '/system/session', { authorization }).then(told);
		return { ...about, authorization: `Bearer ${token}` };
	} catch (error) {
		if (isToken && error.status === 403) return null;
		throw error;
	}
}

function hold(about) {
	session = about;
	useCredentials(about?.authorization ?? null);
	keep(KEY, about && JSON.stringify(about), tab);
}

/** Forgets the credentials here. */
export const forget = () => hold(null);

/** Ends the session, at actord, too: gives back what is to be said of it if that failed. Nobody stays signed in here. */
export async function signOut() {
	const until = session.endsAt ? ` until ${moment(session.endsAt)}` : '';
	const ending = send('DELETE', '/system/session', { patience: 3000 });
	hold(null);
	try {
		await ending;
	} catch (error) {
		// It has ended by itself, or it is a token that was held.
		if (error.status === 401 || error.status === 404) return null;
		return `You are signed out here, but not at actord (${error.message}): a copy of this session holds${until}. Rotating what you signed in with ends it.`;
	}
	return null;
}

/** Base64 of the text's UTF-8: btoa takes bytes alone. */
const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
