// Deploys a function, or updates one: the same form. What it does not show of a function's spec is sent back as it was.

import { change, functionPath, get, isLeft } from './api.js';
import { busy, changes, field, h, plainInput, put, replace, show } from './dom.js';
import { barred, frame, sentence } from './function-frame.js';
import { done, say } from './notices.js';
import { pairs } from './pairs.js';
import { specified } from './page-function.js';
import { pulled } from './page-functions.js';
import { to } from './router.js';
import { can } from './session.js';
import { key, look, onEvent } from './store.js';
import { run } from './tasks.js';

const LABEL = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$';

let keys = null;

/** Labels and annotations with what they do: a file beside this one, made of the documentation. */
async function known() {
	keys ??= fetch(new URL('keys.json', import.meta.url), { credentials: 'omit' })
		.then((answer) => (answer.ok ? answer.json() : []))
		.catch(() => {
			keys = null;
			return [];
		});
	return (await keys) ?? [];
}

export function deployPage({ signal }) {
	const place = h('div', null, can.write ? sentence('Asking actord …') : barred());
	return {
		title: 'Deploy a function',
		element: place,
		begin: () =>
			can.write &&
			run(
				async () => {
					const [about, namespaces] = await Promise.all([known(), get('/system/namespaces', {}, signal)]);
					replace(place, form({ about, namespaces, signal }));
					place.querySelector('input')?.focus();
				},
				(error) => replace(place, sentence(`The form can’t be made: ${error.message}`)),
			),
	};
}

export function updatePage(context) {
	const {
		params: { namespace, name },
		signal,
	} = context;
	const place = h('div', null, sentence('Asking actord …'));
	return {
		...frame(context, 'update', place),
		begin: () =>
			can.write &&
			run(
				async () => {
					const [about, status] = await Promise.all([known(), get(functionPath(name), { namespace }, signal)]);
					replace(place, form({ about, namespaces: [namespace], status, signal }));
				},
				(error) => replace(place, sentence(error.status === 404 ? '' : `The form can’t be made: ${error.message}`)),
			),
	};
}

function form({ about, namespaces, status, signal }) {
	const updates = Boolean(status);
	const text = (name, value, attributes) => plainInput({ name, value: value ?? '', ...attributes });
	const name = text('service', status?.name, { required: true, maxlength: 63, pattern: LABEL, readonly: updates });
	const namespace = h(
		'select',
		{ name: 'namespace', disabled: updates, change: () => offerSecrets() },
		namespaces.map((each) => h('option', null, each)),
	);
	const image = text('image', status?.image, { required: true, placeholder: 'docker.io/me/hello:1' });
	const process = text('envProcess', status?.envProcess);
	const env = pairs({ legend: 'Environment', given: Object.entries(status?.envVars ?? {}) });
	const secrets = h('fieldset', null, h('legend', null, 'Secrets'), h('p', { class: 'help' }));
	const quantity = (of, unit, example) => text(`${of}.${unit}`, status?.[of]?.[unit], { placeholder: example });
	const limits = { memory: quantity('limits', 'memory', '128Mi'), cpu: quantity('limits', 'cpu', '500m') };
	const requests = { memory: quantity('requests', 'memory', '64Mi'), cpu: quantity('requests', 'cpu', '100m') };
	const readOnly = h('input', { type: 'checkbox', name: 'readOnlyRootFilesystem', checked: status?.readOnlyRootFilesystem });
	const keyed = (kind, legend) => {
		const of = about
			.filter((each) => !each.key.startsWith('…'))
			.filter((each) => each.kind === kind || (kind === 'annotation' && each.kind === 'label'));
		const datalist = h(
			'datalist',
			{ id: `keys-${kind}` },
			of.map((each) => h('option', { value: each.key })),
		);
		const made = pairs({
			legend,
			given: Object.entries(status?.[`${kind}s`] ?? {}),
			names: datalist.id,
			help: (typed) => {
				const found = of.find((each) => each.key === typed);
				return found && `${found.text}. Default: ${found.default}.`;
			},
		});
		return { ...made, both: h('div', null, datalist, made.element) };
	};
	const labels = keyed('label', 'Labels');
	const annotations = keyed('annotation', 'Annotations');
	const wrong = h('p', { class: 'wrong', role: 'alert' });
	const progress = h('div', { class: 'progress', hidden: true });
	const press = changes(updates ? 'Update' : 'Deploy', null, { type: 'submit', class: 'main' });
	const checked = () => [...secrets.querySelectorAll('input:checked')].map((input) => input.value);
	const offerSecrets = () => run(secretNames, (error) => put(secrets.lastChild, `They can’t be listed: ${error.message}`));
	// Until they are offered a function keeps those that it has.
	let offered = false;
	offerSecrets();

	/** Offers the names that there are; those that the function has, and that are not there any more, stay. */
	async function secretNames() {
		const chosen = new Set([...(status?.secrets ?? []), ...checked()]);
		const listed = await get('/system/secrets', { namespace: namespace.value }, signal);
		offered = true;
		const names = [...new Set([...listed.map((each) => each.name), ...(status?.secrets ?? [])])].sort();
		replace(
			secrets,
			h('legend', null, 'Secrets'),
			names.length === 0
				? h('p', { class: 'help' }, 'There is none in this namespace. ', h('a', { href: to('secrets') }, 'Secrets'))
				: names.map((each) =>
						h(
							'label',
							{ class: 'check' },
							h('input', { type: 'checkbox', name: 'secret', value: each, checked: chosen.has(each) }),
							each,
						),
					),
		);
	}

	function spec() {
		const kept = specified(status ?? {});
		const amounts = (fields, of) => {
			const all = { ...status?.[of] };
			for (const [unit, input] of Object.entries(fields)) {
				if (input.value.trim()) all[unit] = input.value.trim();
				else delete all[unit];
			}
			return Object.keys(all).length > 0 ? all : undefined;
		};
		return {
			...kept,
			service: name.value.trim(),
			namespace: namespace.value,
			image: image.value.trim(),
			envProcess: process.value.trim() || undefined,
			envVars: Object.fromEntries(env.get()),
			secrets: offered ? checked() : status?.secrets,
			labels: trimmed(labels.get()),
			annotations: trimmed(annotations.get()),
			limits: amounts(limits, 'limits'),
			requests: amounts(requests, 'requests'),
			readOnlyRootFilesystem: readOnly.checked,
		};
	}

	function mistake() {
		if (!new RegExp(LABEL).test(name.value.trim()))
			return [name, 'Name: 1 to 63 lower-case letters, digits and inner hyphens, such as hello-world.'];
		if (!image.value.trim()) return [image, 'Image: type a reference, such as docker.io/me/hello:1.'];
		return null;
	}

	async function submit(event) {
		event.preventDefault();
		put(wrong, '');
		const found = mistake();
		if (found) {
			put(wrong, found[1]);
			found[0].focus();
			return;
		}
		const wanted = spec();
		const id = key(wanted.namespace, wanted.service);
		const ended = new AbortController();
		const watched = AbortSignal.any([signal, ended.signal]);
		show(progress, true);
		watch(id, progress, watched);
		progress.scrollIntoView({ block: 'nearest' });
		await busy(press, async () => {
			try {
				await change(updates ? 'PUT' : 'POST', '/system/functions', { json: wanted, signal });
				done(updates ? `${wanted.service} is updated.` : `${wanted.service} is deployed.`);
				look(id);
				location.hash = to('function', wanted.namespace, wanted.service);
			} catch (error) {
				if (isLeft(error)) return;
				replace(
					wrong,
					error.message,
					error.status === 409 &&
						h(
							'span',
							null,
							' ',
							h('a', { href: to('function', wanted.namespace, wanted.service, 'update') }, `Update ${wanted.service}`),
						),
				);
				wrong.scrollIntoView({ block: 'nearest' });
			} finally {
				ended.abort();
				show(progress, false);
			}
		});
	}

	return h(
		'form',
		{ submit, novalidate: true, id: 'deploy' },
		h(
			'div',
			{ class: 'row' },
			field('Name', name, updates ? undefined : 'It is called by this: /function/NAME'),
			field('Namespace', namespace),
		),
		field('Image', image),
		field('Process', process, 'What the watchdog of OpenFaaS runs. Images without one need nothing here.'),
		env.element,
		secrets,
		h(
			'fieldset',
			{ class: 'row' },
			h('legend', null, 'Limits'),
			field('Memory', limits.memory, 'The most it may use'),
			field('CPU', limits.cpu, '1000m is one core'),
		),
		h('fieldset', { class: 'row' }, h('legend', null, 'Requests'), field('Memory', requests.memory), field('CPU', requests.cpu)),
		h('label', { class: 'check' }, readOnly, 'The root file system is read-only'),
		labels.both,
		annotations.both,
		updates && h('p', { class: 'help' }, 'What serves goes on serving until the new version is ready. If that fails, it stays.'),
		progress,
		wrong,
		h(
			'div',
			{ class: 'actions' },
			press,
			updates && h('a', { class: 'button', href: to('function', status.namespace, status.name) }, 'Cancel'),
		),
	);
}

const trimmed = (given) => Object.fromEntries(given.map(([name, value]) => [name, value.trim()]));

/** Says how the start gets on. */
function watch(id, element, signal) {
	const step = h('span', null, 'sent: waiting for an instance');
	const bar = h('progress', { max: 1, 'aria-label': 'Pull of the image' });
	replace(element, step, bar);
	let last = '';

	function write(what, waitsFor, pull) {
		const text = pull ? pulled(pull) : waitsFor ? `${what}: ${waitsFor}` : what;
		put(step, text);
		if (pull?.total) bar.value = pull.pulled / pull.total;
		else bar.removeAttribute('value');
		if (what !== last) say(what);
		last = what;
	}

	onEvent((event, data, of) => {
		if (of !== id) return;
		if (event === 'step') write(data.step, data.waitingFor);
		else if (event === 'pull') write('pulling', data.waitingFor, data);
		else if (event === 'phase') write(data.phase, data.reason);
	}, signal);
}
