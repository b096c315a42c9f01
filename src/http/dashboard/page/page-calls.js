// Calls that no caller waits for: how many wait for each function, and one by one, dead letters among them.

import { change, get } from './api.js';
import { ask } from './dialog.js';
import { changes, choice, facts, h, offer, replace, searchField, show } from './dom.js';
import { away, bytes, many, moment, span } from './format.js';
import { sentence } from './function-frame.js';
import { done } from './notices.js';
import { bodyOf, headerTable } from './page-invoke.js';
import { mark } from './phase.js';
import { to } from './router.js';
import { can } from './session.js';
import { onEvent } from './store.js';
import { table } from './table.js';
import { repeat, run, seldom, wrongLine } from './tasks.js';

const STATES = ['waiting', 'retrying', 'callback', 'dead', 'done', 'cancelled'];
const PAGE = 100;
const ASK = 5000;
/** However many calls end: to look is two questions to the queue's file. */
const LOOK = 1000;

const bare = (name, namespace) => (name.endsWith(`.${namespace}`) ? name.slice(0, -namespace.length - 1) : name);

export function callsPage({ query, signal }) {
	const namespace = choice('namespace', 'Namespace', [], anew);
	const state = choice('state', 'State', [['', 'Any state'], ...STATES], anew, query.get('state'));
	const name = searchField('function', 'Function', { value: query.get('function') ?? '', change: anew });
	const purge = changes('Remove dead letters', remove, { class: 'danger' });
	const older = h('button', { type: 'button', hidden: true, click: () => run(more, wrong.failed) }, 'Older ones');
	const wrong = wrongLine();
	const queues = queueTable((of) => {
		name.value = of.bare;
		state.value = 'dead';
		anew();
	});
	const list = callTable();
	let shown = [];
	let next = null;
	let asked = 0;

	const chosen = () => ({ namespace: namespace.value, state: state.value, function: name.value.trim() });

	function anew() {
		shown = [];
		run(look, wrong.failed);
	}

	/** The newest page; what was read of older ones stays below it. */
	async function look() {
		const round = (asked += 1);
		const [page, waiting] = await Promise.all([
			get('/system/calls', { ...chosen(), limit: PAGE }, signal),
			get('/system/queues', { namespace: namespace.value }, signal),
		]);
		if (round !== asked) return;
		wrong.say('');
		const fresh = new Set(page.calls.map((call) => call.id));
		const rest = shown.slice(PAGE).filter((call) => !fresh.has(call.id));
		if (rest.length === 0) next = page.next ?? null;
		shown = [...page.calls, ...rest];
		list.set(shown);
		show(older, next !== null);
		queues.set(waiting.map((each) => ({ ...each, bare: bare(each.function, each.namespace) })));
		show(purge, can.write && waiting.some((each) => each.dead > 0));
	}

	async function more() {
		const page = await get('/system/calls', { ...chosen(), limit: PAGE, after: next }, signal);
		next = page.next ?? null;
		shown.push(...page.calls);
		list.set(shown);
		show(older, next !== null);
	}

	async function remove() {
		const of = name.value.trim();
		const removed = await ask({
			title: 'Remove dead letters?',
			body: [
				h(
					'p',
					null,
					`All of ${of || 'all functions'} in ${namespace.value} go, with their requests and answers. This can’t be undone.`,
				),
			],
			action: 'Remove them',
			danger: true,
			typed: of || namespace.value,
			act: async () => {
				const answer = await change('DELETE', '/system/calls', {
					query: { namespace: namespace.value, state: 'dead', function: of },
				});
				done(`${many(answer?.purged ?? 0, 'dead letter')} removed.`);
			},
		});
		if (removed) run(look, wrong.failed);
	}

	const soon = seldom(LOOK, signal, () => run(look, wrong.failed));
	onEvent((event) => event === 'call' && soon(), signal);

	async function begin() {
		await run(async () => {
			const names = await get('/system/namespaces', {}, signal);
			offer(namespace, names, query.get('namespace'));
			show(namespace, names.length > 1);
		}, wrong.failed);
		await repeat(ASK, signal, look, wrong.failed);
	}

	return {
		title: 'Calls',
		element: h(
			'div',
			{ id: 'calls' },
			h('p', { class: 'lead' }, 'Asynchronous calls, kept until they are answered. What failed for good is a dead letter.'),
			h('h2', null, 'Queues'),
			queues.element,
			h('h2', null, 'Calls'),
			h('div', { class: 'tools' }, name, namespace, state, purge),
			wrong.element,
			list.element,
			older,
		),
		begin,
	};
}

function queueTable(choose) {
	return table({
		caption: 'Queues',
		id: (queue) => queue.function,
		empty: 'No function has calls.',
		columns: [
			{ title: 'Function', value: (queue) => queue.bare },
			{ title: 'Waiting', kind: 'number', value: (queue) => queue.waiting },
			{ title: 'In flight', kind: 'number', value: (queue) => queue.inFlight },
			{ title: 'Retrying', kind: 'number', value: (queue) => queue.retrying },
			{ title: 'Callbacks', kind: 'number minor', value: (queue) => queue.callbacks },
			{
				title: 'Dead',
				kind: 'number',
				value: (queue) => queue.dead,
				show: (queue) =>
					queue.dead === 0
						? '0'
						: h(
								'button',
								{
									type: 'button',
									class: 'text',
									click: () => choose(queue),
									'aria-label': `${many(queue.dead, 'dead letter')} of ${queue.bare}`,
								},
								queue.dead,
							),
			},
			{ title: 'Oldest', kind: 'number', value: (queue) => (queue.oldestSeconds === undefined ? '–' : span(queue.oldestSeconds)) },
			{ title: 'On disk', kind: 'number minor', value: (queue) => bytes(queue.bytes) },
			{ title: 'Held', value: (queue) => queue.held ?? '' },
		],
	});
}

function callTable() {
	return table({
		caption: 'Calls, the newest first',
		id: (call) => call.id,
		empty: 'There is no such call.',
		columns: [
			{
				title: 'Call',
				value: (call) => call.id,
				show: (call) => h('a', { class: 'code', href: to('call', call.id), title: call.id }, `…${call.id.slice(-8)}`),
			},
			{ title: 'Function', value: (call) => bare(call.function, call.namespace) },
			{ title: 'State', value: (call) => call.state, show: (call) => mark(call.state) },
			{ title: 'Request', kind: 'code minor', value: (call) => `${call.method} ${call.path}` },
			{
				title: 'Accepted',
				value: (call) => moment(call.accepted),
				show: (call) => h('span', { title: call.accepted }, moment(call.accepted)),
			},
			{ title: 'Tries', kind: 'number', value: (call) => call.tries },
			{ title: 'Status', kind: 'number', value: (call) => call.lastStatus ?? '–' },
			{ title: 'Why', kind: 'why', value: (call) => call.reason ?? (call.nextTry ? `tried again at ${moment(call.nextTry)}` : '') },
		],
	});
}

export function callPage({ params: { id }, signal }) {
	const place = h('div', null, sentence('Asking actord …'));
	const path = `/system/call/${encodeURIComponent(id)}`;
	const retry = changes('Try again', () =>
		act(
			'Try this call again?',
			'It keeps its id, and has all its tries again.',
			'Try again',
			'POST',
			`${path}/retry`,
			'It waits for its turn.',
		),
	);
	const cancel = changes(
		'Cancel this call',
		() =>
			act(
				'Cancel this call?',
				'It is not tried any more. If it is under way, its function sees its caller leave.',
				'Cancel this call',
				'DELETE',
				path,
				'It is cancelled.',
			),
		{ class: 'danger' },
	);
	const deeds = can.write && h('div', { class: 'deeds' }, retry, cancel);

	async function act(title, text, action, method, where, said) {
		const acted = await ask({
			title,
			body: [h('p', null, text)],
			action,
			danger: method === 'DELETE',
			act: () => change(method, where),
		});
		if (!acted) return;
		done(said);
		follow();
	}

	async function look() {
		const call = await get(path, {}, signal);
		const ended = ['done', 'dead', 'cancelled'].includes(call.state);
		show(retry, call.state === 'dead');
		show(cancel, !ended);
		write(call);
		// One that has ended changes only by hand.
		return ended;
	}

	function failed(error) {
		if (error.status === 0) return;
		last = '';
		show(retry, false);
		show(cancel, false);
		replace(place, sentence(error.message));
	}

	const follow = () => repeat(2000, signal, look, failed);

	let last = '';
	function write(call) {
		const text = JSON.stringify(call);
		if (text === last) return;
		last = text;
		const name = bare(call.function, call.namespace);
		replace(
			place,
			call.reason && h('p', { class: 'reason' }, call.reason),
			facts([
				['State', mark(call.state)],
				['Function', h('a', { href: to('function', call.namespace, name) }, `${name} in ${call.namespace}`)],
				['Request', h('code', null, `${call.method} ${call.path}`)],
				['Accepted', `${moment(call.accepted)}, ${away(call.accepted)}`],
				['Ended', call.ended && moment(call.ended)],
				['Next try', call.nextTry && `${moment(call.nextTry)}, ${away(call.nextTry)}`],
				['Tries', call.maxTries ? `${call.tries} of ${call.maxTries}` : call.tries],
				['Deadline', call.deadline && moment(call.deadline)],
				['Schedule', call.schedule && h('code', null, call.schedule)],
				['Callback', call.callback && h('code', null, call.callback)],
				['The caller’s id', call.callerId && h('code', null, call.callerId)],
				['Body sent', call.requestBytes !== undefined && bytes(call.requestBytes)],
			]),
			call.attempts.length > 0 && [h('h2', null, 'Tries'), attempts(call.attempts)],
			call.answer && [
				h('h2', null, `Last answer: ${call.answer.status}`),
				h(
					'p',
					{ class: 'sum' },
					call.answer.cut ? `${bytes(call.answer.bytes)}, of which the beginning is kept` : bytes(call.answer.bytes),
				),
				bodyOf(call.answer),
				h(
					'details',
					null,
					h('summary', null, `${call.answer.headers.length} headers of the answer`),
					headerTable(call.answer.headers.map((each) => [each.name, each.value])),
				),
			],
			call.headers.length > 0 &&
				h(
					'details',
					null,
					h('summary', null, `${call.headers.length} headers of the request`),
					headerTable(call.headers.map((each) => [each.name, each.value])),
				),
		);
	}

	return {
		title: `Call …${id.slice(-8)}`,
		heading: h('span', null, 'Call ', h('small', { class: 'code' }, id)),
		beside: deeds,
		element: h('div', { id: 'call' }, place),
		begin: follow,
	};
}

function attempts(all) {
	const rows = table({
		caption: 'Tries',
		id: (attempt) => attempt.at,
		columns: [
			{ title: 'Began', value: (attempt) => moment(attempt.started) },
			{
				title: 'Took',
				kind: 'number',
				value: (attempt) => (attempt.seconds < 1 ? `${Math.round(attempt.seconds * 1000)} ms` : span(attempt.seconds)),
			},
			{ title: 'Status', kind: 'number', value: (attempt) => attempt.status ?? '–' },
			{ title: 'What', value: (attempt) => attempt.error ?? (attempt.callback ? 'callback' : '') },
		],
	});
	rows.set(all.map((attempt, at) => ({ ...attempt, at })));
	return rows.element;
}
