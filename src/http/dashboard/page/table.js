// A table whose rows are made once. Of a row that changed only those cells are written whose value is another one.
//
// Roles are named, because a narrow screen shows a row as a block, and a block has none by itself.

import { h, put, replace } from './dom.js';

/**
 * `columns`: `{ title, value(row), show(row)?, write(cell, row)?, sort(row)?, kind? }`. `value` gives what is compared, and shown
 * where neither `show` makes elements nor `write` changes those that there are. A column with `sort` can be sorted by.
 */
export function table({ caption, columns, id, empty = 'There is nothing here.' }) {
	const rows = new Map();
	let order = null;
	let wanted = () => true;
	const heads = columns.map((column, at) => head(column, () => sortBy(at)));
	const body = h('tbody', { role: 'rowgroup' });
	const nothing = h('p', { class: 'empty', hidden: true });
	const element = h(
		'div',
		{ class: 'table' },
		h(
			'table',
			{ role: 'table' },
			h('caption', { class: 'unseen' }, caption),
			h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, heads)),
			body,
		),
		nothing,
	);

	function sortBy(at) {
		const falls = order?.at === at && !order.falls;
		order = { at, falls };
		heads.forEach((th, each) => {
			if (each === at) th.setAttribute('aria-sort', falls ? 'descending' : 'ascending');
			else th.removeAttribute('aria-sort');
		});
		arrange();
	}

	/** Puts the rows in order; those that stand right are not touched. */
	function arrange() {
		let all = [...rows.values()];
		if (order) {
			const of = columns[order.at].sort;
			const sign = order.falls ? -1 : 1;
			all = all
				.map((row) => [of(row.value), row])
				.sort(([a], [b]) => sign * (a < b ? -1 : a > b ? 1 : 0))
				.map(([, row]) => row);
		}
		all.forEach((row, at) => {
			if (body.children[at] !== row.tr) body.insertBefore(row.tr, body.children[at] ?? null);
		});
	}

	function write(row) {
		columns.forEach((column, at) => {
			const value = column.value(row.value);
			if (row.last[at] === value) return;
			row.last[at] = value;
			if (column.write) column.write(row.cells[at], row.value);
			else if (column.show) replace(row.cells[at], column.show(row.value));
			else put(row.cells[at], value);
		});
		const hidden = !wanted(row.value);
		if (row.tr.hidden !== hidden) row.tr.hidden = hidden;
	}

	function add(key, value) {
		const cells = columns.map((column, at) =>
			at === 0
				? h('th', { scope: 'row', role: 'rowheader', class: column.kind })
				: h('td', { role: 'cell', class: column.kind, 'data-title': column.title }),
		);
		const row = { tr: h('tr', { role: 'row' }, cells), cells, last: columns.map(() => undefined), value };
		rows.set(key, row);
		write(row);
	}

	/** Shows exactly these rows. */
	function set(values) {
		const seen = new Set();
		for (const value of values) {
			const key = id(value);
			seen.add(key);
			const row = rows.get(key);
			if (!row) add(key, value);
			else {
				row.value = value;
				write(row);
			}
		}
		for (const [key, row] of rows) {
			if (seen.has(key)) continue;
			row.tr.remove();
			rows.delete(key);
		}
		if (!order) {
			// The order is that of the list: a Map keeps that of the first one.
			const all = [...seen].map((key) => [key, rows.get(key)]);
			rows.clear();
			for (const [key, row] of all) rows.set(key, row);
		}
		arrange();
		tell();
	}

	/** Writes the row with this key again. */
	function update(key) {
		const row = rows.get(key);
		if (row) write(row);
		return Boolean(row);
	}

	/** Shows those rows alone that are wanted, and says how many these are. */
	function filter(test) {
		wanted = test;
		for (const row of rows.values()) {
			const hidden = !wanted(row.value);
			if (row.tr.hidden !== hidden) row.tr.hidden = hidden;
		}
		return tell();
	}

	function tell() {
		let shown = 0;
		for (const row of rows.values()) shown += row.tr.hidden ? 0 : 1;
		put(nothing, rows.size === 0 ? empty : 'None of them fits what was asked for.');
		nothing.hidden = shown > 0;
		element.firstChild.hidden = rows.size === 0;
		return shown;
	}

	return {
		element,
		set,
		update,
		filter,
		tell,
		has: (key) => rows.has(key),
		get size() {
			return rows.size;
		},
	};
}

function head(column, sort) {
	const title = column.sort ? h('button', { type: 'button', class: 'sort', click: sort }, column.title) : column.title;
	return h('th', { scope: 'col', role: 'columnheader', class: column.kind }, title || h('span', { class: 'unseen' }, 'Actions'));
}
