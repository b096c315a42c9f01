// Fields that come in pairs, a name and its value: environment, labels, annotations, headers. A row without
// a name counts for nothing.

import { h, plainInput } from './dom.js';

/** `help(name)` gives what is known of a name; `names` is the id of a datalist. */
export function pairs({ legend, given = [], names, help }) {
	const rows = h('div');
	const add = h(
		'button',
		{ type: 'button', class: 'quiet', click: () => row('', '').querySelector('input').focus() },
		'Add one',
		h('span', { class: 'unseen' }, ` to ${legend}`),
	);
	const element = h('fieldset', { class: 'pairs-edit' }, h('legend', null, legend), rows, add);

	function row(name, value) {
		const about = help && h('small', { class: 'help' });
		const key = plainInput({ value: name, list: names, placeholder: 'Name', 'aria-label': `${legend}: name`, input: explain });
		const text = plainInput({ value, placeholder: 'Value', 'aria-label': `${legend}: value` });
		const made = h(
			'div',
			{ class: 'pair' },
			key,
			text,
			h('button', { type: 'button', class: 'quiet', 'aria-label': `${legend}: take this one away`, click: leave }, '✕'),
			about,
		);

		function explain() {
			if (about) about.textContent = help(key.value.trim()) ?? '';
		}

		/** The focus goes to what stands where the row was. */
		function leave() {
			const next = made.nextElementSibling ?? made.previousElementSibling;
			made.remove();
			(next?.querySelector('input') ?? add).focus();
		}

		explain();
		rows.append(made);
		return made;
	}

	for (const [name, value] of given) row(name, value);
	return {
		element,
		/** The pairs as they stand, without those that have no name. */
		get: () =>
			[...rows.children]
				.map((each) => [...each.querySelectorAll('input')].map((input) => input.value))
				.map(([name, value]) => [name.trim(), value])
				.filter(([name]) => name !== ''),
	};
}
