// Lines over the last hour, as SVG. Each chart has its numbers as a table, too: for those who can't see lines, and for those
// who want the number.

import { h, put, replace, svg } from './dom.js';
import { clock } from './format.js';

const WIDTH = 600;
const HEIGHT = 110;

/** A line without axes, for a row of the list: calls, and what failed of them as bars. */
export function spark() {
	const line = svg('polyline', { class: 'line' });
	const bars = svg('path', { class: 'failed' });
	const element = svg(
		'svg',
		{ class: 'spark', viewBox: '0 0 90 20', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
		bars,
		line,
	);
	return {
		element,
		set(calls, failed) {
			const most = Math.max(1e-9, ...calls);
			const step = 90 / 29;
			const from = 30 - calls.length;
			const y = (value) => (19 - (18 * value) / most).toFixed(1);
			line.setAttribute('points', calls.map((value, at) => `${((from + at) * step).toFixed(1)},${y(value)}`).join(' '));
			bars.setAttribute(
				'd',
				failed.map((value, at) => (value > 0 ? `M${((30 - failed.length + at) * step).toFixed(1)},20V${y(value)}` : '')).join(''),
			);
		},
	};
}

/** `series`: `{ title, key, format }`, the first one drawn whole and the others dashed, so that they differ without colours. */
export function chart({ title, series }) {
	const lines = series.map((_, at) => svg('path', { class: `line s${at} ${series[at].key}` }));
	const cursor = svg('line', { class: 'cursor', y1: 0, y2: HEIGHT, visibility: 'hidden' });
	const plot = svg(
		'svg',
		{ class: 'plot', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' },
		[0.25, 0.5, 0.75].map((part) => svg('line', { class: 'grid', x1: 0, x2: WIDTH, y1: HEIGHT * part, y2: HEIGHT * part })),
		lines,
		cursor,
	);
	const keys = series.map((each, at) => {
		const value = h('strong');
		return {
			value,
			element: h(
				'span',
				{ class: 'key' },
				svg(
					'svg',
					{ class: 'dash', viewBox: '0 0 18 4', 'aria-hidden': 'true' },
					svg('line', { class: `line s${at} ${each.key}`, x1: 0, x2: 18, y1: 2, y2: 2 }),
				),
				each.title,
				' ',
				value,
			),
		};
	});
	const most = h('span', { class: 'most' });
	const from = h('span');
	const until = h('span');
	const when = h('span', { class: 'when' });
	const numbers = h('tbody');
	const details = h(
		'details',
		{ toggle: () => details.open && tabulate() },
		h('summary', null, 'Numbers', h('span', { class: 'unseen' }, ` of ${title}`)),
		h(
			'div',
			{ class: 'scroll', tabindex: '0', role: 'region', 'aria-label': `${title}, numbers` },
			h(
				'table',
				null,
				h('caption', { class: 'unseen' }, title),
				h(
					'thead',
					null,
					h(
						'tr',
						null,
						h('th', { scope: 'col' }, 'Time'),
						series.map((each) => h('th', { scope: 'col', class: 'number' }, each.title)),
					),
				),
				numbers,
			),
		),
	);
	const element = h(
		'section',
		{ class: 'chart' },
		h('h3', null, title),
		h(
			'div',
			{ class: 'keys' },
			keys.map((each) => each.element),
			when,
		),
		h('div', { class: 'frame' }, most, plot),
		h('div', { class: 'ends' }, from, until),
		details,
	);

	let shown = null;
	plot.addEventListener('pointermove', (event) => {
		if (!shown) return;
		const box = plot.getBoundingClientRect();
		const at = Math.round(((event.clientX - box.left) / box.width) * (shown.length - 1));
		point(Math.max(0, Math.min(shown.length - 1, at)));
	});
	plot.addEventListener('pointerleave', () => point(null));

	/** Says the numbers of one moment, else the last ones. */
	function point(at) {
		if (!shown) return;
		cursor.setAttribute('visibility', at === null ? 'hidden' : 'visible');
		const index = at ?? shown.length - 1;
		const x = (index / Math.max(1, shown.length - 1)) * WIDTH;
		cursor.setAttribute('x1', x);
		cursor.setAttribute('x2', x);
		series.forEach((each, which) => put(keys[which].value, each.format(shown.values[which][index])));
		put(when, at === null ? '' : clock(shown.time(at)));
	}

	function tabulate() {
		if (!shown) return;
		// The newest first, each minute: an hour of tens of seconds is nothing that is read.
		const rows = [];
		const every = Math.max(1, Math.round(60 / shown.step));
		for (let at = shown.length - 1; at >= 0; at -= every) rows.push(at);
		replace(
			numbers,
			rows.map((at) =>
				h(
					'tr',
					null,
					h('th', { scope: 'row' }, clock(shown.time(at))),
					series.map((each, which) => h('td', { class: 'number' }, each.format(shown.values[which][at]))),
				),
			),
		);
	}

	return {
		element,
		/** `end` is when the last point ended; `columns` has an array for each series. */
		set(end, step, columns) {
			const values = series.map((each) => (columns[each.key] ?? []).map((value) => each.of?.(value, step) ?? value));
			const length = Math.max(0, ...values.map((each) => each.length));
			if (length === 0) return;
			shown = { length, values, step, time: (at) => new Date(new Date(end).getTime() - (length - 1 - at) * step * 1000) };
			const top = Math.max(1e-9, ...values.flat().filter((value) => value !== null));
			values.forEach((each, which) => lines[which].setAttribute('d', path(each, length, top)));
			put(most, series[0].format(top < 1e-6 ? 0 : top));
			put(from, clock(shown.time(0)));
			put(until, clock(shown.time(length - 1)));
			point(null);
			if (details.open) tabulate();
		},
	};
}

/** The way of a line. Where there is no value it is interrupted: nothing is made up between two points. */
function path(values, length, top) {
	let pen = 'M';
	return values
		.map((value, at) => {
			if (value === null) {
				pen = 'M';
				return '';
			}
			const x = (at / Math.max(1, length - 1)) * WIDTH;
			const text = `${pen}${x.toFixed(1)},${(HEIGHT - 1 - ((HEIGHT - 4) * value) / top).toFixed(1)}`;
			// A point between two gaps would have no length, and not be seen.
			const alone = pen === 'M' && (values[at + 1] ?? null) === null;
			pen = 'L';
			return alone ? `${text}h2` : text;
		})
		.join('');
}
