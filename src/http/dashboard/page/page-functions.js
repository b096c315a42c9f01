// All functions. Rows are written from events (store.js); the filter only hides rows.

import { choice, h, offer, put, searchField, show } from './dom.js';
import { bytes, many, number, rate, share } from './format.js';
import { spark } from './chart.js';
import { badge, isWell, phases, setBadge, tier } from './phase.js';
import { to } from './router.js';
import { can } from './session.js';
import { store, subscribe } from './store.js';
import { table } from './table.js';

/** What is filtered by outlives the page: who comes back from a function sees the list that was left. */
const wanted = { text: '', namespace: '', phase: '' };

export function functionsPage({ signal }) {
	const severally = () => store.namespaces.length > 1;
	const sparks = new WeakMap();
	const rows = table({
		caption: 'Functions',
		id: (fn) => fn.key,
		empty: 'There is no function yet.',
		columns: [
			{ title: 'Name', kind: 'name', value: (fn) => (severally() ? fn.key : fn.name), sort: (fn) => fn.key, write: writeName },
			{ title: 'State', kind: 'phase', value: state, sort: (fn) => phases.indexOf(fn.phase), write: writeState },
			{ title: 'Tier', kind: 'minor', value: tier, sort: tier },
			{ title: 'Replicas', kind: 'number', value: (fn) => `${fn.ready}/${fn.replicas}`, sort: (fn) => fn.replicas },
			{ title: 'Calls', kind: 'number', value: (fn) => rate(fn.rate), sort: (fn) => fn.rate ?? -1 },
			{
				title: 'Errors',
				kind: 'number',
				value: (fn) => (fn.errors > 0 ? share(fn.errors, fn.rate) : fn.errors === 0 ? '0' : '–'),
				sort: (fn) => fn.errors ?? -1,
				write: writeErrors,
			},
			{ title: 'p99', kind: 'number minor', value: (fn) => (fn.p99 ? `${number(fn.p99)} ms` : '–'), sort: (fn) => fn.p99 ?? -1 },
			{ title: 'Last 5 minutes', kind: 'trend minor', value: (fn) => fn.loads ?? 0, write: writeSpark },
		],
	});

	function writeName(cell, fn) {
		if (!cell.firstChild) cell.append(h('a', { href: to('function', fn.namespace, fn.name) }, fn.name), h('small'));
		put(cell.lastChild, severally() ? fn.namespace : '');
	}

	function writeState(cell, fn) {
		if (!cell.firstChild) cell.append(badge(fn.phase), h('small', { class: 'why' }));
		setBadge(cell.firstChild, fn.phase);
		put(cell.lastChild, why(fn));
		cell.lastChild.title = fn.reason ?? '';
	}

	function writeErrors(cell, fn) {
		put(cell, fn.errors > 0 ? share(fn.errors, fn.rate) : fn.errors === 0 ? '0' : '–');
		cell.classList.toggle('hot', fn.errors > 0);
	}

	function writeSpark(cell, fn) {
		let drawn = sparks.get(cell);
		if (!drawn) {
			drawn = spark();
			sparks.set(cell, drawn);
			cell.append(drawn.element);
		}
		drawn.set(fn.calls, fn.failed);
	}

	const text = searchField('filter', 'Filter by name or image', { value: wanted.text, input: () => choose('text', text) });
	const namespace = choice('namespace', 'Namespace', [], () => choose('namespace', namespace));
	const phase = choice(
		'phase',
		'State',
		[['', 'Any state'], ['!', 'In trouble'], ...phases],
		() => choose('phase', phase),
		wanted.phase,
	);
	const sum = h('p', { class: 'sum' });
	const trouble = h('div', { class: 'trouble', hidden: true });
	const waits = h('p', { class: 'empty' }, 'Asking actord …');

	function choose(what, control) {
		wanted[what] = control.value;
		sift();
	}

	function sift() {
		const words = wanted.text.toLowerCase().split(/\s+/).filter(Boolean);
		rows.filter(
			(fn) =>
				(!wanted.namespace || fn.namespace === wanted.namespace) &&
				(!wanted.phase || (wanted.phase === '!' ? !isWell(fn.phase) : fn.phase === wanted.phase)) &&
				words.every((word) => fn.key.includes(word) || fn.image.toLowerCase().includes(word)),
		);
		count();
	}

	function count() {
		const all = [...store.functions.values()];
		const bad = all.filter((fn) => !isWell(fn.phase)).length;
		const seen = rows.tell();
		put(
			sum,
			store.listed
				? `${seen === all.length ? many(all.length, 'function') : `${seen} of ${many(all.length, 'function')}`}${bad ? `, ${bad} in trouble` : ''}`
				: '',
		);
	}

	function names() {
		const known = [...namespace.options]
			.slice(1)
			.map((option) => option.value)
			.join();
		if (known === store.namespaces.join()) return;
		offer(namespace, [['', 'All namespaces'], ...store.namespaces], wanted.namespace);
		wanted.namespace = namespace.value;
		show(namespace, severally());
	}

	function faults() {
		const lines = [...store.faults, ...(store.paused ? ['asynchronous calls are paused: memory is short'] : [])];
		trouble.replaceChildren(
			h('strong', null, 'actord is not well'),
			h(
				'ul',
				null,
				lines.map((line) => h('li', null, line)),
			),
		);
		show(trouble, lines.length > 0);
	}

	function whole() {
		names();
		faults();
		show(waits, !store.listed);
		if (store.error && !store.listed) put(waits, `The functions can’t be listed: ${store.error.message}`);
		if (!store.listed) return;
		rows.set([...store.functions.values()].sort((a, b) => (a.key < b.key ? -1 : 1)));
		sift();
	}

	subscribe((changed, some) => {
		if (some) {
			whole();
			return;
		}
		for (const key of changed) rows.update(key);
		count();
	}, signal);

	return {
		title: 'Functions',
		beside: can.write && h('a', { class: 'button main', href: to('deploy') }, 'Deploy'),
		element: h('div', { id: 'functions' }, trouble, h('div', { class: 'tools' }, text, namespace, phase, sum), waits, rows.element),
		begin: whole,
	};
}

/** What is compared before the state is written again. */
const state = (fn) => `${fn.phase}|${why(fn)}|${fn.reason ?? ''}`;

/** Why it is in its state, in a few words. */
export function why(fn) {
	if (fn.pull) return pulled(fn.pull);
	if (fn.reason && fn.phase !== 'stopped') return fn.reason;
	if (fn.step) return fn.waitingFor ? `${fn.step}: ${fn.waitingFor}` : fn.step;
	return '';
}

export function pulled({ pulled: here, total }) {
	return total ? `pulling, ${Math.floor((100 * here) / total)} %: ${bytes(here)} of ${bytes(total)}` : `pulling: ${bytes(here)}`;
}
