// One function: why it is in its state, its instances and generations, the last hour in graphs, what happened, its spec.

import { functionPath, get } from './api.js';
import { chart } from './chart.js';
import { changes, facts, h, liveFacts, put, replace, show } from './dom.js';
import { away, bytes, clock, many, millis, moment, number, rate, span } from './format.js';
import { frame, rollBack } from './function-frame.js';
import { pulled } from './page-functions.js';
import { badge, isWell, tier } from './phase.js';
import { can } from './session.js';
import { key, onEvent, store, subscribe } from './store.js';
import { table } from './table.js';
import { run, seldom, sleep } from './tasks.js';

/** The status is asked for at most this often while events come. */
const LOOK = 500;
const USAGE = 10_000;

export function functionPage(context) {
	const {
		params: { namespace, name },
		signal,
	} = context;
	const id = key(namespace, name);
	const reason = h('p', { class: 'reason' });
	const now = liveFacts();
	const refusal = h('div');
	const state = h('section', { id: 'state' }, h('h2', { class: 'unseen' }, 'State'), reason, now.element, refusal);
	const progress = h('progress', { max: 1, 'aria-label': 'Pull of the image' });
	const pull = h('div', { class: 'pull', hidden: true }, h('span'), progress);
	const instances = instanceTable();
	const generations = generationTable(id);
	const graphs = graphSection();
	const happened = h('ol', { class: 'events' });
	const spec = h('section', { id: 'spec' });
	const wrong = h('p', { class: 'wrong', role: 'alert' });
	const sections = {
		instances: h('section', null, h('h2', null, 'Instances'), instances.element),
		generations: h('section', { hidden: true }, h('h2', null, 'Generations'), generations.element),
		happened: h('section', { hidden: true }, h('h2', null, 'Since this page was opened'), happened),
	};
	let status = null;

	async function look() {
		const query = { namespace };
		const [about, running] = await Promise.all([
			get(functionPath(name), { namespace, usage: 1 }, signal),
			get(functionPath(name, 'instances'), query, signal),
		]);
		put(wrong, '');
		status = about;
		instances.set(running);
		const kept = about.lifecycle?.generations ?? [];
		show(sections.generations, kept.length > 0);
		generations.set(kept.map((each) => ({ ...each, asked: each.generation === about.lifecycle.generation })));
		writeNow();
		writeOnce(refusal, about.lifecycle?.lastRefusal ?? null, refused);
		writeOnce(spec, specified(about), specOf);
	}

	async function past() {
		if (document.hidden) return;
		graphs.set(await get(functionPath(name, 'history'), { namespace }, signal));
		show(graphs.element, true);
	}

	function failed(error) {
		// That it is not there is said above all pages of it.
		if (error.status !== 404 && error.status !== 0) put(wrong, error.message);
	}

	function writeNow() {
		const fn = store.functions.get(id);
		if (!fn || !status) return;
		const life = status.lifecycle ?? {};
		put(reason, fn.reason);
		show(reason, Boolean(fn.reason));
		reason.dataset.tone = isWell(fn.phase) ? 'rest' : 'bad';
		now.set([
			['State', fn.since ? `${fn.phase} for ${span((Date.now() - fn.since) / 1000)}` : fn.phase],
			['Step', fn.step && (fn.waitingFor ? `${fn.step}: ${fn.waitingFor}` : fn.step)],
			['Next try', fn.retryAt > Date.now() && `in ${span((fn.retryAt - Date.now()) / 1000)}`],
			[
				'Replicas',
				`${fn.ready} of ${fn.replicas} ready${life.asked === undefined ? '' : `, ${life.asked} asked for`}${fn.spares ? `, ${many(fn.spares, 'spare')}` : ''}`,
			],
			['Because', life.scaledBecause],
			['Remark', life.remark],
			[
				'Tier',
				fn.next
					? `${tier(fn)}, ${fn.next.tier === 'frozen' ? 'freezes' : 'stops'} in ${span((fn.next.at - Date.now()) / 1000)} if nothing calls it`
					: tier(fn),
			],
			[
				'Generation',
				fn.generation &&
					(fn.serving !== undefined && fn.serving !== fn.generation ? `${fn.generation}; ${fn.serving} serves` : fn.generation),
			],
			['Asked for', life.askedImage],
			['Restarts', fn.restarts || undefined],
			['Readiness', life.judged],
			[
				'Calls',
				fn.rate === undefined ? `${status.invocationCount ?? 0} in all` : `${rate(fn.rate)}, ${status.invocationCount ?? 0} in all`,
			],
			['Uses', status.usage && `${number(status.usage.cpu ?? 0)} milli-cores, ${bytes(status.usage.totalMemoryBytes ?? 0)}`],
			['Deployed', moment(status.createdAt) !== '–' && `${moment(status.createdAt)}, ${away(status.createdAt)}`],
		]);
		show(pull, Boolean(fn.pull));
		if (!fn.pull) return;
		put(pull.firstChild, pulled(fn.pull));
		if (fn.pull.total) progress.value = fn.pull.pulled / fn.pull.total;
		else progress.removeAttribute('value');
	}

	const plan = seldom(LOOK, signal, () => run(look, failed));

	function tell({ event, data }) {
		show(sections.happened, true);
		happened.prepend(
			h(
				'li',
				null,
				h('time', null, clock(new Date(data.time ?? Date.now()))),
				' ',
				h('strong', null, event),
				' ',
				words(event, data),
			),
		);
		while (happened.children.length > 50) happened.lastChild.remove();
	}

	onEvent((event, data, of) => {
		if (event === 'load' && data.namespace === namespace) {
			run(past, failed);
		} else if (event === 'reset') {
			plan();
		} else if (of === id && event !== 'pull') {
			tell({ event, data });
			if (event !== 'call') plan();
		}
	}, signal);
	subscribe((changed, some) => {
		if (!some && !changed.has(id)) return;
		writeNow();
	}, signal);

	async function begin() {
		for (const each of store.events.filter(({ data }) => key(data.namespace, data.function) === id)) tell(each);
		run(look, failed);
		run(past, failed);
		for (let round = 1; !signal.aborted; round += 1) {
			await sleep(1000, signal);
			if (signal.aborted || document.hidden) continue;
			writeNow();
			if (round % (USAGE / 1000) === 0) {
				run(look, failed);
				// A function whose load stays as it is gets no event of it.
				if (round % 60 === 0) run(past, failed);
			}
		}
	}

	const page = frame(
		context,
		'',
		h(
			'div',
			{ class: 'columns' },
			h('div', null, wrong, state, pull, sections.instances, sections.generations, sections.happened),
			h('div', null, graphs.element, spec),
		),
	);
	return { ...page, begin };
}

function instanceTable() {
	return table({
		caption: 'Instances',
		id: (instance) => instance.id,
		empty: 'Nothing of it runs now.',
		columns: [
			{ title: 'Instance', kind: 'code', value: (instance) => instance.id },
			{ title: 'State', value: (instance) => instance.phase, show: (instance) => badge(instance.phase) },
			{ title: 'Generation', kind: 'number', value: (instance) => instance.generation },
			{ title: 'Address', kind: 'code', value: (instance) => instance.address ?? '–' },
		],
	});
}

function generationTable(id) {
	const columns = [
		{ title: 'Generation', value: (kept) => kept.generation },
		{ title: 'Image', kind: 'code', value: (kept) => kept.image },
		{ title: 'Accepted', value: (kept) => (kept.accepted ? moment(kept.accepted) : '–') },
	];
	if (can.write) {
		columns.push({
			title: '',
			value: (kept) => kept.asked,
			write: (cell, kept) => {
				replace(
					cell,
					!kept.asked &&
						changes('Roll back', () => rollBack(id, kept.generation, kept.image), {
							'aria-label': `Roll back to generation ${kept.generation}`,
						}),
				);
			},
		});
	}
	return table({ caption: 'Generations that served, the newest first', id: (kept) => kept.generation, columns });
}

function graphSection() {
	const perSecond = (value, step) => value / step;
	const charts = [
		chart({
			title: 'Calls and errors',
			series: [
				{ title: 'calls', key: 'calls', of: perSecond, format: rate },
				{ title: 'errors', key: 'errors', of: perSecond, format: rate },
			],
		}),
		chart({
			title: 'Latency',
			series: [
				{ title: 'p99', key: 'p99', format: millis },
				{ title: 'p50', key: 'p50', format: millis },
			],
		}),
		chart({
			title: 'In flight and replicas',
			series: [
				{ title: 'in flight', key: 'inFlight', format: number },
				{ title: 'replicas', key: 'replicas', format: number },
			],
		}),
		chart({ title: 'CPU, milli-cores', series: [{ title: 'cpu', key: 'cpu', format: number }] }),
		chart({
			title: 'Memory',
			series: [{ title: 'memory', key: 'memory', format: (value) => (value === null ? '–' : bytes(value)) }],
		}),
	];
	const element = h(
		'section',
		{ id: 'graphs', hidden: true },
		h('h2', null, 'The last hour'),
		h(
			'div',
			{ class: 'charts' },
			charts.map((each) => each.element),
		),
	);
	return {
		element,
		set: (past) => charts.forEach((each) => each.set(past.end, past.step, past)),
	};
}

/** What an event says, in a few words. */
function words(event, data) {
	switch (event) {
		case 'phase':
			return [
				badge(data.phase),
				` generation ${data.generation}, ${data.availableReplicas ?? 0}/${data.replicas ?? 0}`,
				data.reason && `: ${data.reason}`,
			];
		case 'deployed':
			return `generation ${data.generation}, ${data.image}`;
		case 'restart':
			return `${many(data.restarts, 'restart')} in all${data.reason ? `: ${data.reason}` : ''}`;
		case 'scale':
			return `from ${data.from} to ${data.to}: ${data.reason ?? data.because}`;
		case 'refused':
			return `generation ${data.generation}: ${data.reason}`;
		case 'step':
			return data.waitingFor ? `${data.step}: ${data.waitingFor}` : data.step;
		case 'call':
			return `${data.ended}${data.count > 1 ? `, ${data.count} times` : ''}${data.reason ? `: ${data.reason}` : ''}`;
		default:
			return '';
	}
}

const written = new WeakMap();

/** Writes what differs from what was written: a text that was marked to be copied stays marked. */
function writeOnce(element, value, write) {
	const text = JSON.stringify(value);
	if (written.get(element) === text) return;
	written.set(element, text);
	replace(element, value && write(value));
}

const refused = ({ time, reason, generation, image }) =>
	h(
		'div',
		{ class: 'refusal' },
		h('h3', null, `The last update was refused: ${moment(time)}`),
		h('p', null, reason),
		h('p', null, `Generation ${generation}, `, h('code', null, image)),
	);

/** Of a status what was asked for. */
export function specified({ name, namespace, invocationCount, replicas, availableReplicas, createdAt, usage, lifecycle, ...spec }) {
	return spec;
}

function specOf(spec) {
	const pairs = (map) => {
		const all = Object.entries(map ?? {});
		return (
			all.length > 0 &&
			h(
				'div',
				{ class: 'pairs' },
				all.map(([name, value]) => h('div', null, h('code', null, name), ` ${value}`)),
			)
		);
	};
	const quantities = (map) =>
		Object.entries(map ?? {})
			.map(([name, value]) => `${name} ${value}`)
			.join(', ');
	return [
		h('h2', null, 'Spec'),
		facts([
			['Image', h('code', null, spec.image)],
			['Process', spec.envProcess && h('code', null, spec.envProcess)],
			['Environment', pairs(spec.envVars)],
			['Secrets', (spec.secrets ?? []).join(', ')],
			['Labels', pairs(spec.labels)],
			['Annotations', pairs(spec.annotations)],
			['Limits', quantities(spec.limits)],
			['Requests', quantities(spec.requests)],
			['Root file system', spec.readOnlyRootFilesystem && 'read-only'],
			['Constraints', (spec.constraints ?? []).join(', ')],
		]),
	];
}
