// What a page does beside being shown. Its signal ends all of it, and that it was left is no error.

import { isLeft } from './api.js';
import { h, put } from './dom.js';

/** Does something once. */
export async function run(work, failed) {
	try {
		return await work();
	} catch (error) {
		if (!isLeft(error)) failed(error);
		return undefined;
	}
}

/** Does something now, and again and again while the page can be seen, until it says that this is enough. */
export async function repeat(every, signal, work, failed) {
	while (!signal.aborted) {
		if (!document.hidden && (await run(work, failed)) === true) return;
		await sleep(every, signal);
	}
}

export function sleep(time, signal) {
	return new Promise((done) => {
		const end = () => {
			clearTimeout(timer);
			// A page that is open for weeks sleeps a million times.
			signal?.removeEventListener('abort', end);
			done();
		};
		const timer = setTimeout(end, time);
		signal?.addEventListener('abort', end);
		if (signal?.aborted) end();
	});
}

/** A function that has this done soon, at most once in such a time and never twice at once, however often it is called. */
export function seldom(every, signal, work) {
	let wanted = false;
	let busy = false;
	return async () => {
		wanted = true;
		if (busy) return;
		busy = true;
		while (wanted && !signal.aborted) {
			await sleep(every, signal);
			wanted = false;
			if (!signal.aborted) await work();
		}
		busy = false;
	};
}

/** A line for what failed. That actord does not answer is said by the bar at the top. */
export function wrongLine() {
	const element = h('p', { class: 'wrong', role: 'alert' });
	return {
		element,
		say: (text) => put(element, text),
		failed: (error) => error.status !== 0 && put(element, error.message),
	};
}
