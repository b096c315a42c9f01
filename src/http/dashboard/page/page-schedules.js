// What is called by the clock: when it is due next, and what came of the last time.

import { get } from './api.js';
import { h } from './dom.js';
import { away, moment } from './format.js';
import { mark } from './phase.js';
import { to } from './router.js';
import { table } from './table.js';
import { repeat, wrongLine } from './tasks.js';

const ASK = 10_000;

export function schedulesPage({ signal }) {
	const wrong = wrongLine();
	const rows = table({
		caption: 'Schedules',
		id: (each) => `${each.namespace}/${each.function}/${each.schedule}/${each.timezone}`,
		empty: 'No function is called by the clock. The annotations topic: cron-function and schedule make one.',
		columns: [
			{
				title: 'Function',
				value: (each) => `${each.function} ${each.namespace}`,
				sort: (each) => each.function,
				show: (each) => [
					h('a', { href: to('function', each.namespace, each.function) }, each.function),
					h('small', null, each.namespace),
				],
			},
			{
				title: 'Schedule',
				value: (each) => `${each.schedule} ${each.timezone}`,
				show: (each) => [h('code', null, each.schedule), h('small', null, each.timezone)],
			},
			{
				title: 'Next',
				value: (each) => `${each.next} ${each.next && away(each.next)} ${each.note}`,
				sort: (each) => each.next ?? '~',
				show: (each) => (each.next ? [moment(each.next), h('small', null, away(each.next))] : (each.note ?? '–')),
			},
			{
				title: 'Last',
				value: (each) => `${each.last} ${each.lastState}`,
				sort: (each) => each.last ?? '',
				show: (each) =>
					each.last
						? each.lastCall && each.lastState
							? h('a', { href: to('call', each.lastCall) }, moment(each.last))
							: moment(each.last)
						: 'never',
			},
			{
				title: 'Came to',
				value: (each) => `${each.lastState} ${each.lastStatus}`,
				sort: (each) => each.lastState ?? '',
				show: (each) => [each.lastState && mark(each.lastState), each.lastStatus && ` ${each.lastStatus}`],
			},
			{ title: 'Missed', kind: 'number', value: (each) => each.missed, sort: (each) => each.missed },
			{ title: 'Skipped', kind: 'number minor', value: (each) => each.skipped },
		],
	});

	async function look() {
		const namespaces = await get('/system/namespaces', {}, signal);
		const all = await Promise.all(namespaces.map((namespace) => get('/system/schedules', { namespace }, signal)));
		rows.set(all.flat());
		wrong.say('');
	}

	return {
		title: 'Schedules',
		element: h('div', { id: 'schedules' }, wrong.element, rows.element),
		begin: () => repeat(ASK, signal, look, wrong.failed),
	};
}
