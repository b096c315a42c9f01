// What just happened, in words: below the top of the page for all to see, and in the live region for those who hear it.

import { h, put, replace } from './dom.js';

const shown = document.getElementById('notices');
const live = document.getElementById('live');

/** Says that something was done. It goes by itself. */
export function done(text) {
	say(text);
	const notice = h(
		'div',
		{ class: 'notice', 'data-tone': 'good' },
		h('span', { class: 'shape', 'aria-hidden': 'true' }, '●'),
		h('span', { class: 'grow' }, text),
		h('button', { type: 'button', class: 'quiet', click: () => notice.remove() }, 'Close'),
	);
	while (shown.children.length > 3) shown.firstChild.remove();
	shown.append(notice);
	setTimeout(() => notice.remove(), 8000);
}

/** Forgets what was said: it was said to who is signed out now. */
export const clear = () => replace(shown);

let waiting = [];
let timer = 0;

/** Has this read out, at most once a second: of several the last one, and how many they were. */
export function say(text) {
	waiting.push(text);
	timer ||= setTimeout(() => {
		const last = waiting.pop();
		put(live, waiting.length === 0 ? last : `${last}; ${waiting.length} more changes`);
		waiting = [];
		timer = 0;
	}, 1000);
}
