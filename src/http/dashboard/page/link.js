// Whether actord answers, and whether it takes changes now. All that asks reports here; the bar at the top shows it.
//
//   lost -> down since T -> heard -> up          refused during an upgrade's trial -> trial until T -> up

import { hold } from './dom.js';

export const state = { downSince: null, trialUntil: null };
const listeners = new Set();

/** Calls back at each change, until the signal ends it. */
export function onLink(listener, signal) {
	listeners.add(listener);
	signal?.addEventListener('abort', () => listeners.delete(listener));
}

/** Nothing was answered. */
export function lost() {
	if (state.downSince !== null) return;
	state.downSince = Date.now();
	changed();
}

/** Anything was answered. */
export function heard() {
	if (state.downSince === null) return;
	state.downSince = null;
	changed();
}

/** A change was refused because an upgrade has to prove itself first. */
export function onTrial(seconds) {
	state.trialUntil = Date.now() + seconds * 1000;
	changed();
	setTimeout(
		() => {
			if (state.trialUntil !== null && Date.now() >= state.trialUntil) {
				state.trialUntil = null;
				changed();
			}
		},
		seconds * 1000 + 50,
	);
}

function changed() {
	const reason =
		state.downSince !== null
			? 'actord does not answer: nothing can be changed now'
			: state.trialUntil !== null
				? 'an upgrade is on trial: nothing is changed until it is over'
				: '';
	if (reason) document.body.dataset.held = reason;
	else delete document.body.dataset.held;
	for (const button of document.querySelectorAll('[data-changes]')) hold(button, reason);
	for (const listener of listeners) listener(state);
}
