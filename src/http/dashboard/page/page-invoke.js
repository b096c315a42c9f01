// Calls a function by hand. actord makes the call and wraps the answer in JSON: nothing of a function is ever a document here.

import { change, functionPath, isLeft } from './api.js';
import { busy, changes, field, h, plainInput, put, replace, show, written } from './dom.js';
import { bytes, number } from './format.js';
import { frame } from './function-frame.js';
import { say } from './notices.js';
import { pairs } from './pairs.js';

const METHODS = ['POST', 'GET', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'];

export function invokePage(context) {
	const {
		params: { namespace, name },
		signal,
	} = context;
	const method = h(
		'select',
		{ name: 'method' },
		METHODS.map((each) => h('option', null, each)),
	);
	const path = plainInput({ name: 'path', value: '/' });
	const headers = pairs({ legend: 'Headers' });
	const body = h('textarea', { name: 'body', rows: 6, spellcheck: 'false' });
	const wrong = h('p', { class: 'wrong', role: 'alert' });
	const answer = h('section', { id: 'answer', hidden: true, 'aria-label': 'Answer' });
	const press = changes('Invoke', null, { type: 'submit', class: 'main' });
	const form = h(
		'form',
		{ submit, novalidate: true },
		h('div', { class: 'row' }, field('Method', method), field('Path and query', path)),
		headers.element,
		field('Body', body),
		wrong,
		h('div', { class: 'actions' }, press),
	);

	async function submit(event) {
		event.preventDefault();
		put(wrong, '');
		const wanted = path.value.trim() || '/';
		if (!wanted.startsWith('/')) {
			put(wrong, 'The path begins with a slash: /, /items?page=2');
			path.focus();
			return;
		}
		const json = { method: method.value, path: wanted, headers: headers.get() };
		if (body.value !== '') json.body = body.value;
		await busy(press, async () => {
			try {
				write(await change('POST', functionPath(name, 'invoke'), { query: { namespace }, json, signal }));
			} catch (error) {
				if (isLeft(error)) return;
				show(answer, false);
				put(wrong, error.message);
			}
		});
	}

	function write(got) {
		const tone = got.status < 400 ? 'good' : got.status < 500 ? 'warn' : 'bad';
		const size = got.cut ? `${bytes(got.bytes)}, of which the beginning is shown` : bytes(got.bytes);
		replace(
			answer,
			h('h2', null, 'Answer ', h('span', { class: 'state', 'data-tone': tone }, got.status)),
			h('p', { class: 'sum' }, `${number(got.seconds * 1000)} ms, ${size}`),
			h('details', null, h('summary', null, `${got.headers.length} headers`), headerTable(got.headers)),
			bodyOf(got),
		);
		show(answer, true);
		say(`answered with ${got.status}`);
	}

	return frame(context, 'invoke', h('div', { class: 'columns' }, form, answer));
}

export const headerTable = (headers) =>
	h(
		'div',
		{ class: 'table' },
		h(
			'table',
			null,
			h('caption', { class: 'unseen' }, 'Headers'),
			h('thead', { class: 'unseen' }, h('tr', null, h('th', { scope: 'col' }, 'Name'), h('th', { scope: 'col' }, 'Value'))),
			h(
				'tbody',
				null,
				headers.map(([name, value]) =>
					h('tr', null, h('th', { scope: 'row', class: 'code' }, name), h('td', { class: 'code' }, value ?? 'not shown')),
				),
			),
		),
	);

/** A body as text, else its first bytes as numbers. */
export function bodyOf({ body, bodyBase64 }) {
	if (body !== undefined) return body === '' ? h('p', { class: 'empty' }, 'It has no body.') : written('Body', body);
	if (!bodyBase64) return h('p', { class: 'empty' }, 'It has no body.');
	const raw = atob(bodyBase64.slice(0, 1024));
	const rows = [];
	for (let at = 0; at < raw.length; at += 16) {
		const part = [...raw.slice(at, at + 16)].map((char) => char.charCodeAt(0));
		const text = part.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '.')).join('');
		rows.push(
			`${at.toString(16).padStart(4, '0')}  ${part
				.map((byte) => byte.toString(16).padStart(2, '0'))
				.join(' ')
				.padEnd(48)} ${text}`,
		);
	}
	return h('div', null, h('p', { class: 'sum' }, 'It is no text. Its first bytes:'), written('Body', rows.join('\n')));
}
