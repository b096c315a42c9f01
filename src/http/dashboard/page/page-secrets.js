// Secrets: their names and who uses them. Values only go in; actord gives none out.

import { ApiError, change, get } from './api.js';
import { ask } from './dialog.js';
import { changes, field, h, plainInput, replace } from './dom.js';
import { done } from './notices.js';
import { to } from './router.js';
import { can } from './session.js';
import { store, subscribe } from './store.js';
import { table } from './table.js';
import { run, wrongLine } from './tasks.js';

export function secretsPage({ signal }) {
	const wrong = wrongLine();
	let namespaces = [];
	let listed = [];
	const users = ({ name, namespace }) =>
		[...store.functions.values()].filter((fn) => fn.namespace === namespace && fn.status.secrets?.includes(name));
	const columns = [
		{ title: 'Name', kind: 'code', value: (each) => each.name, sort: (each) => each.name },
		{ title: 'Namespace', value: (each) => each.namespace, sort: (each) => each.namespace },
		{
			title: 'Used by',
			value: (each) =>
				users(each)
					.map((fn) => fn.name)
					.join(),
			write: (cell, each) => {
				const links = users(each).flatMap((fn, at) => [
					at > 0 && ', ',
					h('a', { href: to('function', fn.namespace, fn.name) }, fn.name),
				]);
				replace(cell, links.length > 0 ? links : '–');
			},
		},
	];
	if (can.write) {
		columns.push({
			title: '',
			value: () => '',
			write: (cell, each) =>
				cell.append(
					h(
						'div',
						{ class: 'deeds' },
						changes('Replace', () => edit(each), { 'aria-label': `Replace ${each.name}` }),
						changes('Delete', () => remove(each), { class: 'danger', 'aria-label': `Delete ${each.name}` }),
					),
				),
		});
	}
	const rows = table({ caption: 'Secrets', id: (each) => `${each.namespace}/${each.name}`, empty: 'There is no secret.', columns });

	async function look() {
		namespaces = await get('/system/namespaces', {}, signal);
		listed = (await Promise.all(namespaces.map((namespace) => get('/system/secrets', { namespace }, signal)))).flat();
		rows.set(listed);
		wrong.say('');
	}

	const anew = () => run(look, wrong.failed);

	async function edit(known) {
		const name = plainInput({ name: 'name', value: known?.name ?? '', readonly: Boolean(known) });
		const namespace = h(
			'select',
			{ name: 'namespace', disabled: Boolean(known) },
			(known ? [known.namespace] : namespaces).map((each) => h('option', null, each)),
		);
		const value = h('textarea', { name: 'value', rows: 4, autocomplete: 'off', spellcheck: 'false' });
		const acted = await ask({
			title: known ? `Replace ${known.name}` : 'New secret',
			body: [
				field('Name', name),
				field('Namespace', namespace),
				field('Value', value, 'Kept as it is typed, line ends included. Instances that have it get the new one.'),
			],
			action: known ? 'Replace' : 'Make it',
			act: async () => {
				if (!name.value.trim()) throw new ApiError(0, 'Name: type one, such as api-key.');
				await change(known ? 'PUT' : 'POST', '/system/secrets', {
					json: { name: name.value.trim(), namespace: namespace.value, value: value.value },
				});
				done(`The secret ${name.value.trim()} is kept.`);
			},
		});
		if (acted) anew();
	}

	async function remove({ name, namespace }) {
		const acted = await ask({
			title: `Delete the secret ${name}?`,
			body: [
				h('p', null, `It goes from ${namespace}. Functions that name it can’t start without it, and keep it from being deleted.`),
			],
			action: 'Delete',
			danger: true,
			typed: name,
			act: async () => {
				await change('DELETE', '/system/secrets', { json: { name, namespace } });
				done(`The secret ${name} is deleted.`);
			},
		});
		if (acted) anew();
	}

	subscribe((changed, some) => some && rows.set(listed), signal);
	return {
		title: 'Secrets',
		beside: can.write && changes('New secret', () => edit(), { class: 'main' }),
		element: h(
			'div',
			{ id: 'secrets' },
			h('p', { class: 'lead' }, 'Names only: no value ever leaves actord.'),
			wrong.element,
			rows.element,
		),
		begin: anew,
	};
}
