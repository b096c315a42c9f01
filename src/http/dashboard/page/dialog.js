// Questions before something is changed. The browser's own dialog keeps the focus in it, and Escape leaves it; afterwards
// the focus is where it was.

import { busy, changes, field, h, plainInput, put, unique } from './dom.js';

/**
 * Asks, and does what was asked for. `body` are elements; `act(form)` does it and may throw: the words are shown, and the dialog
 * stays. Resolves to whether it was done. `typed`: a name that has to be typed first, for what can't be undone.
 */
export function ask({ title, body = [], action, danger = false, typed, act }) {
	const before = document.activeElement;
	return new Promise((answer) => {
		const name = unique();
		let done = false;
		const wrong = h('p', { class: 'wrong', role: 'alert' });
		const press = changes(action, null, { type: 'submit', class: danger ? 'danger' : 'main' });
		const input = typed && plainInput({ name: 'typed', required: true });
		const form = h(
			'form',
			{ submit: submit, novalidate: true },
			h('h2', { id: name }, title),
			body,
			input && field(`Type ${typed} to go on`, input),
			wrong,
			h('div', { class: 'actions' }, press, h('button', { type: 'button', click: () => dialog.close() }, 'Cancel')),
		);
		const dialog = h('dialog', { 'aria-labelledby': name }, form);
		dialog.addEventListener('close', () => {
			dialog.remove();
			if (before?.isConnected) before.focus();
			answer(done);
		});

		async function submit(event) {
			event.preventDefault();
			if (press.disabled) return;
			if (input && input.value !== typed) {
				put(wrong, `That is not ${typed}: nothing was done.`);
				input.focus();
				return;
			}
			put(wrong, '');
			await busy(press, async () => {
				try {
					await act(form);
					done = true;
					dialog.close();
				} catch (error) {
					put(wrong, error.message);
				}
			});
		}

		document.body.append(dialog);
		dialog.showModal();
		form.querySelector('input, select, textarea')?.focus();
	});
}
