// The machine: disks, memory, images, and what doctor finds. For who has the password: findings name paths and processes.

import { get } from './api.js';
import { facts, h, replace } from './dom.js';
import { bytes, many, moment, number, span } from './format.js';
import { sentence } from './function-frame.js';
import { mark } from './phase.js';
import { can } from './session.js';
import { table } from './table.js';
import { repeat, wrongLine } from './tasks.js';

/** actord looks at most each 10 seconds. */
const ASK = 15_000;

export function machinePage({ signal }) {
	const about = h('div', null, sentence('Asking actord …'));
	const wrong = wrongLine();
	const findings = table({
		caption: 'Findings',
		id: (each) => each.check,
		empty: 'Nothing was looked at.',
		columns: [
			{ title: 'Check', value: (each) => each.check, sort: (each) => each.check },
			{ title: 'State', value: (each) => each.state, sort: order, show: (each) => mark(each.state) },
			{
				title: 'Found',
				kind: 'why',
				value: (each) => `${each.found} ${each.remedy ?? ''}`,
				show: (each) => [each.found, each.remedy && h('small', { class: 'remedy' }, each.remedy)],
			},
		],
	});

	async function look() {
		write(await get('/system/machine', {}, signal));
		wrong.say('');
	}

	function write(machine) {
		const { memory, images } = machine;
		replace(
			about,
			facts([
				['actord', machine.release],
				['Architecture', machine.arch],
				['Up for', span(machine.uptimeSeconds)],
				['Looked at', moment(machine.time)],
			]),
			h('h2', null, 'Disks'),
			machine.disks.map((disk) => gauge(`${disk.name}, ${disk.path}`, disk.bytes - disk.free, disk.bytes)),
			h('h2', null, 'Memory'),
			memory && gauge('Of the machine', memory.total - memory.available, memory.total),
			memory &&
				facts([
					['actord itself', bytes(memory.actord)],
					['Time lost waiting for memory', memory.pressure !== undefined && `${number(memory.pressure)} %`],
				]),
			images && [h('h2', null, 'Images'), h('p', null, `${many(images.count, 'image')}, ${bytes(images.bytes)}`)],
			h('h2', null, 'What doctor finds'),
			findings.element,
		);
		findings.set([...machine.findings].sort((a, b) => order(a) - order(b)));
	}

	async function begin() {
		if (!can.admin) {
			replace(about, sentence('This is for who signed in with the password: findings name paths and processes of the machine.'));
			return;
		}
		await repeat(ASK, signal, look, wrong.failed);
	}

	return { title: 'Machine', element: h('div', { id: 'machine' }, wrong.element, about), begin };
}

/** What is to be mended comes first. */
const order = (each) => -['ok', 'unknown', 'warning', 'failure'].indexOf(each.state);

/** How much is used, as a bar and in words. From 90 % on it says so. */
function gauge(name, used, whole) {
	const part = whole > 0 ? used / whole : 0;
	const tight = part >= 0.9;
	return h(
		'div',
		{ class: 'gauge' },
		h('span', null, name),
		h('meter', { min: 0, max: 1, low: 0.8, high: 0.9, optimum: 0, value: part.toFixed(3), 'aria-label': name }),
		h(
			'span',
			{ class: tight ? 'hot' : '' },
			`${tight ? '▲ ' : ''}${Math.round(part * 100)} %, ${bytes(whole - used)} of ${bytes(whole)} free`,
		),
	);
}
