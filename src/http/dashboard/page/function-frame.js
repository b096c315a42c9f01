// What the pages of one function share: its name and state, the way between them, and what can be done to it.

import { ApiError, change, functionPath } from './api.js';
import { ask } from './dialog.js';
import { changes, field, h, put, show } from './dom.js';
import { done } from './notices.js';
import { badge, setBadge } from './phase.js';
import { to } from './router.js';
import { can } from './session.js';
import { key, look, store, subscribe } from './store.js';

const PAGES = [
	['', 'Overview'],
	['logs', 'Logs'],
	['invoke', 'Invoke', 'write'],
	['update', 'Update', 'write'],
];

export function frame({ params, signal }, open, content) {
	const { namespace, name } = params;
	const id = key(namespace, name);
	const state = badge('');
	const needs = PAGES.find(([path]) => path === open)[2];
	const missing = h(
		'p',
		{ class: 'trouble', hidden: true },
		`There is no function ${name} in ${namespace}. It may have been deleted.`,
	);
	const ways = h(
		'nav',
		{ class: 'tabs', 'aria-label': `Pages of ${name}` },
		PAGES.filter(([, , needs]) => !needs || can.write).map(([path, title]) =>
			h('a', { href: to(...['function', namespace, name, path].filter(Boolean)), 'aria-current': path === open && 'page' }, title),
		),
		h('a', { href: `${to('calls')}?${new URLSearchParams({ namespace, function: name })}` }, 'Calls'),
	);
	const stop = changes('Stop', () => keep(id, 'stop'));
	const start = changes('Start', () => keep(id, 'start'));
	const deeds =
		can.write &&
		h(
			'div',
			{ class: 'deeds' },
			changes('Scale', () => scale(id)),
			stop,
			start,
			changes('Delete', () => remove(id), { class: 'danger' }),
		);

	function write() {
		const fn = store.functions.get(id);
		show(missing, store.listed && !fn);
		show(state, Boolean(fn));
		if (!fn) return;
		setBadge(state, fn.phase);
		const down = Boolean(fn.status.lifecycle?.keptDown);
		show(stop, !down);
		show(start, down || fn.phase === 'idle');
	}

	subscribe((changed, some) => {
		if (some || changed.has(id)) write();
	}, signal);
	write();
	return {
		title: PAGES.find(([path]) => path === open)[1] === 'Overview' ? name : `${name}: ${open}`,
		heading: h('span', null, name, h('small', null, ` ${namespace}`)),
		beside: h('div', { class: 'beside' }, state, deeds),
		element: h('div', { id: 'function' }, ways, missing, needs && !can.write ? barred() : content),
	};
}

async function keep(id, what) {
	const [namespace, name] = id.split('/');
	const stops = what === 'stop';
	await ask({
		title: stops ? `Stop ${name}?` : `Start ${name}?`,
		body: [
			h(
				'p',
				null,
				stops
					? 'Nothing of it runs until it is started by hand: calls are answered with 503, asynchronous ones wait. Requests under way are finished.'
					: 'It gets as many instances as were asked for last.',
			),
		],
		action: stops ? 'Stop' : 'Start',
		act: async () => {
			await change('POST', functionPath(name, what), { query: { namespace } });
			done(stops ? `${name} is stopped.` : `${name} is started.`);
			look(id);
		},
	});
}

async function scale(id) {
	const [namespace, name] = id.split('/');
	const fn = store.functions.get(id);
	const replicas = h('input', {
		type: 'number',
		name: 'replicas',
		min: 0,
		max: 1000,
		step: 1,
		required: true,
		value: fn?.replicas ?? 1,
	});
	await ask({
		title: `Scale ${name}`,
		body: [
			field(
				'Replicas',
				replicas,
				'At 0 the next call starts one. Where it follows its load, the number holds until that counts again.',
			),
		],
		action: 'Scale',
		act: async () => {
			const count = Number(replicas.value);
			if (replicas.value === '' || !Number.isInteger(count) || count < 0 || count > 1000) {
				throw new ApiError(0, 'Replicas: type a number from 0 to 1000.');
			}
			await change('POST', `/system/scale-function/${encodeURIComponent(name)}`, {
				query: { namespace },
				json: { serviceName: name, namespace, replicas: count },
			});
			done(`${name} is scaled to ${count}.`);
			look(id);
		},
	});
}

async function remove(id) {
	const [namespace, name] = id.split('/');
	const gone = await ask({
		title: `Delete ${name}?`,
		body: [h('p', null, `It is removed from ${namespace} and gets no more requests; its logs go with it. This can’t be undone.`)],
		action: `Delete ${name}`,
		danger: true,
		typed: name,
		act: () => change('DELETE', '/system/functions', { query: { namespace }, json: { functionName: name, namespace } }),
	});
	if (!gone) return;
	done(`${name} is deleted.`);
	look(id);
	location.hash = to('functions');
}

/** Brings an earlier generation back. */
export async function rollBack(id, generation, image) {
	const [namespace, name] = id.split('/');
	await ask({
		title: `Roll ${name} back to generation ${generation}?`,
		body: [h('p', null, 'What serves goes on serving until that one is ready again: ', h('code', null, image))],
		action: 'Roll back',
		act: async () => {
			await change('POST', functionPath(name, 'rollback'), { query: { namespace }, json: { generation, namespace } });
			done(`${name} goes back to generation ${generation}.`);
			look(id);
		},
	});
}

/** What is said to who may look only. */
export const barred = () => sentence('You may look, and not change anything: this needs the scope write.');

/** Where a page has nothing but a sentence. */
export const sentence = (text) => {
	const element = h('p', { class: 'empty' });
	put(element, text);
	return element;
};
