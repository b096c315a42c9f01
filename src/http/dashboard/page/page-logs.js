// A function's log as it is written. 5,000 lines are kept; who scrolls up reads in peace, and goes on by a button.

import { ApiError } from './api.js';
import { choice, h, put, searchField, show } from './dom.js';
import { clock, many } from './format.js';
import { frame } from './function-frame.js';
import { onEvent } from './store.js';
import { keepUp, parsed, read } from './stream.js';

const KEPT = 5000;
const TAIL = 200;
/** So many lines are asked for once more where a log goes on: one may be begun before others and ended after them. */
const AGAIN = 100;
/** Lines are written together this often: to lay out thousands of them takes a while. */
const WRITE = 100;

export function logsPage(context) {
	const {
		params: { namespace, name },
		signal,
	} = context;
	const list = h('div', { class: 'log', tabindex: '0', role: 'region', 'aria-label': `Log of ${name}` });
	const status = h('span', { class: 'sum' });
	const found = h('span', { class: 'sum' });
	const search = searchField('search', 'Search the log', {
		input: seek,
		keydown: (event) => {
			if (event.key !== 'Enter') return;
			event.preventDefault();
			step(event.shiftKey ? -1 : 1);
		},
	});
	const only = h('input', { type: 'checkbox', name: 'only', change: seek });
	const wrap = h('input', {
		type: 'checkbox',
		name: 'wrap',
		checked: true,
		change: () => list.classList.toggle('long', !wrap.checked),
	});
	const instance = choice('instance', 'Instance', [['', 'All instances']], seek);
	show(instance, false);
	const resume = h(
		'button',
		{
			type: 'button',
			class: 'resume',
			hidden: true,
			click: () => {
				follows = true;
				toEnd();
			},
		},
		'Go to the end and follow',
	);
	const empty = h('p', { class: 'empty' }, 'Nothing was written yet.');

	let follows = true;
	let kept = [];
	let waiting = [];
	let timer = 0;
	let at = -1;
	let hits = [];
	/** Of each instance that wrote what is kept its option, and how many lines: a crash loop has ever new ones. */
	const writers = new Map();
	/** What is kept and comes once more, where a log goes on: how many there are of each. Times may go back, and be the same. */
	let doubles = new Map();

	function take(line) {
		if (line === '') return;
		const said = parsed(line);
		if (!said) return;
		const mark = markOf(said);
		const left = doubles.get(mark);
		if (left) {
			doubles.set(mark, left - 1);
			return;
		}
		waiting.push(said);
		if (waiting.length > KEPT) waiting = waiting.slice(-KEPT);
		timer ||= setTimeout(write, WRITE);
	}

	function write() {
		timer = 0;
		const fresh = waiting.map((said) => ({ said, element: row(said) }));
		waiting = [];
		kept.push(...fresh);
		fresh.forEach(sift);
		list.append(...fresh.map((each) => each.element));
		// What is being read does not go away so soon.
		const over = kept.length - (follows ? KEPT : 2 * KEPT);
		if (over > 0)
			kept.splice(0, over).forEach(({ said, element }) => {
				element.remove();
				counted(said.instance, -1);
			});
		show(empty, kept.length === 0);
		if (search.value) count();
		else put(status, `${many(kept.length, 'line')}${kept.length >= KEPT ? ', older ones are not kept here' : ''}`);
		if (follows) toEnd();
	}

	/** One can be chosen while lines of it are kept. */
	function counted(name, by) {
		const writer = writers.get(name) ?? { option: h('option', { value: name }, name), lines: 0 };
		writer.lines += by;
		if (writer.lines === by) {
			writers.set(name, writer);
			instance.append(writer.option);
		} else if (writer.lines === 0 && !writer.option.selected) {
			writers.delete(name);
			writer.option.remove();
		}
		show(instance, writers.size > 1);
	}

	function row(said) {
		counted(said.instance, 1);
		const time = new Date(said.timestamp);
		const fraction = String(time.getMilliseconds()).padStart(3, '0');
		return h(
			'div',
			{ class: 'line' },
			h('time', { title: `${said.timestamp} ${said.instance ?? ''}` }, `${clock(time)}.${fraction}`),
			' ',
			h('span', null, plain(said)),
		);
	}

	/** Marks what is searched for in one line, and hides the line if only those are wanted that have it. */
	function sift({ said, element }) {
		const text = plain(said);
		const wanted = search.value.toLowerCase();
		const into = element.lastChild;
		const lower = text.toLowerCase();
		// Lower case may be longer than what was written; then places do not fit, and nothing is marked.
		const fits = wanted !== '' && lower.length === text.length;
		const pieces = [];
		let from = 0;
		for (let place = fits ? lower.indexOf(wanted) : -1; place >= 0; place = lower.indexOf(wanted, from)) {
			pieces.push(text.slice(from, place), h('mark', null, text.slice(place, place + wanted.length)));
			from = place + wanted.length;
		}
		if (pieces.length > 0) into.replaceChildren(...pieces, text.slice(from));
		else put(into, text);
		const hidden =
			(instance.value !== '' && said.instance !== instance.value) || (only.checked && wanted !== '' && pieces.length === 0);
		element.hidden = hidden;
	}

	function seek() {
		kept.forEach(sift);
		at = -1;
		count();
		if (search.value && hits.length > 0) step(-1);
	}

	function count() {
		hits = search.value ? [...list.querySelectorAll('.line:not([hidden]) mark')] : [];
		put(
			found,
			search.value ? (hits.length === 0 ? 'not found' : `${at < 0 ? '' : `${at + 1} of `}${many(hits.length, 'place')}`) : '',
		);
	}

	/** Goes to the next place. At first that is the last one: it is the newest. */
	function step(by) {
		count();
		if (hits.length === 0) return;
		hits.forEach((hit) => hit.classList.remove('here'));
		at = at < 0 ? hits.length - 1 : (at + by + hits.length) % hits.length;
		hits[at].classList.add('here');
		pause();
		hits[at].scrollIntoView({ block: 'center' });
		count();
	}

	function pause() {
		follows = false;
		show(resume, true);
	}

	function toEnd() {
		show(resume, false);
		list.scrollTop = list.scrollHeight;
	}

	let before = 0;
	list.addEventListener('scroll', () => {
		const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 24;
		if (atEnd && !follows) {
			follows = true;
			show(resume, false);
		} else if (!atEnd && list.scrollTop < before) {
			pause();
		}
		before = list.scrollTop;
	});

	// A log may be silent for as long as it likes. That its connection is dead is found out by the events' one.
	let current = new AbortController();
	onEvent((event) => event === 'break' && current.abort(), signal);

	/** From where on the log is asked for: from the earliest of the last lines, or, at first, so many from its end. */
	function place() {
		const all = [...kept.map(({ said }) => said), ...waiting];
		doubles = new Map();
		for (const mark of all.map(markOf)) doubles.set(mark, (doubles.get(mark) ?? 0) + 1);
		if (all.length === 0) return { tail: TAIL };
		return { since: new Date(Math.min(...all.slice(-AGAIN).map(({ timestamp }) => new Date(timestamp)))).toISOString() };
	}

	const begin = () =>
		keepUp(signal, async (sight) => {
			current = new AbortController();
			try {
				await read('/system/logs', { name, namespace, follow: 'true', ...place() }, AbortSignal.any([sight, current.signal]), {
					line: take,
					silence: 0,
				});
			} catch (error) {
				if (!(error instanceof ApiError) || error.status === 0) return;
				if (error.status !== 503) put(status, error.message);
				// One that is deployed again has a log again.
				return error.retryAfter ?? 5;
			}
		});

	const tools = h(
		'div',
		{ class: 'tools' },
		search,
		h('button', { type: 'button', click: () => step(-1), 'aria-label': 'Earlier place' }, '↑'),
		h('button', { type: 'button', click: () => step(1), 'aria-label': 'Later place' }, '↓'),
		found,
		h('label', { class: 'check' }, only, 'only these lines'),
		instance,
		h('label', { class: 'check' }, wrap, 'break long lines'),
		status,
	);
	return { ...frame(context, 'logs', h('div', { class: 'logs' }, tools, h('div', { class: 'over' }, list, empty, resume))), begin };
}

const markOf = ({ timestamp, instance, text }) => `${timestamp} ${instance} ${text}`;

/** A line without its end, and without the colours that a terminal would show. */
const plain = ({ text = '' }) => text.replace(/\r?\n$/, '').replace(/\x1b\[[0-9;]*[A-Za-z]/g, '');
