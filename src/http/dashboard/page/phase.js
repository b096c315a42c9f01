// Where a function stands, as a word, a shape and a colour: each of them tells it without the others.

import { h, put } from './dom.js';

/** Those in trouble first. The tone gives the colour. `well`: nothing is to be done about it. */
const PHASES = {
	failed: { shape: '✖', tone: 'bad', well: false },
	'backing off': { shape: '▲', tone: 'warn', well: false },
	'not ready': { shape: '◒', tone: 'warn', well: false },
	starting: { shape: '◐', tone: 'busy', well: true },
	ready: { shape: '●', tone: 'good', well: true },
	frozen: { shape: '◆', tone: 'rest', well: true },
	idle: { shape: '○', tone: 'rest', well: true },
	stopped: { shape: '■', tone: 'rest', well: true },
	deleting: { shape: '◌', tone: 'rest', well: true },
};
const OTHER = { shape: '◇', tone: 'rest', well: true };

/** How calls, schedules and doctor's findings stand, by the same shapes. */
const STATES = {
	waiting: ['○', 'rest'],
	running: ['◐', 'busy'],
	retrying: ['▲', 'warn'],
	callback: ['◒', 'busy'],
	done: ['●', 'good'],
	dead: ['✖', 'bad'],
	cancelled: ['■', 'rest'],
	ok: ['●', 'good'],
	unknown: ['◇', 'rest'],
	warning: ['▲', 'warn'],
	failure: ['✖', 'bad'],
};

const about = (phase) => PHASES[phase] ?? OTHER;

export const isWell = (phase) => about(phase).well;
export const phases = Object.keys(PHASES);

export function badge(phase) {
	const element = h('span', { class: 'state' }, h('span', { class: 'shape', 'aria-hidden': 'true' }), h('span'));
	setBadge(element, phase);
	return element;
}

export function setBadge(element, phase) {
	const { shape, tone } = about(phase);
	element.dataset.tone = tone;
	put(element.firstChild, shape);
	put(element.lastChild, phase);
}

export function mark(state) {
	const [shape, tone] = STATES[state] ?? ['◇', 'rest'];
	return h(
		'span',
		{ class: 'state', 'data-tone': tone },
		h('span', { class: 'shape', 'aria-hidden': 'true' }, shape),
		h('span', null, state),
	);
}

/** How deep it sleeps. */
export function tier(fn) {
	if (fn.phase === 'stopped') return 'off';
	if (fn.phase === 'idle') return 'at zero';
	if (fn.phase === 'frozen') return 'frozen';
	if (fn.frozen > 0) return `${fn.frozen} of ${fn.ready} frozen`;
	return fn.ready > 0 ? 'awake' : '–';
}
