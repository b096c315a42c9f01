// What is known of all functions. Events change single rows; after a break, or where there are no events, all are listed.
//
//   /system/events -> event() -> functions -> dirty keys -> one frame -> who subscribed
//   reset, a stream that is refused -> list() of each namespace
//
// An answer may be older than an event that came while it was under way: what an event touched later is asked for again.

import { get, functionPath, isLeft } from './api.js';
import { follow } from './stream.js';

/** What was touched is asked for this much later, together. */
const LOOK = 500;
/** In a time so many functions are asked for one by one; of more all are listed, once in that time. */
const LOOKS = 20;
const LOOKS_TIME = 5000;
/** After so long no older answer comes any more. */
const FORGOTTEN = 60_000;
/** So many rows are written in a frame, when loads of all come at once. */
const ROWS = 80;
const KEPT_LOADS = 30;
const KEPT_EVENTS = 500;

export const store = {
	functions: new Map(),
	namespaces: [],
	faults: [],
	paused: false,
	listed: false,
	error: null,
	/** The last events of all functions, the newest last: `{ event, data }`. */
	events: [],
};

export const key = (namespace, name) => `${namespace}/${name}`;

const subscribers = new Set();
const readers = new Set();
const dirty = new Set();
const gone = new Map();
const looks = new Set();
let looking = 0;
/** When functions were asked for one by one, in this time. */
let asks = [];
let frame = 0;
let whole = false;
let running = null;
let listing = null;
let listedAt = -Infinity;
/** A list is wanted that is newer than the one under way; 'past': with the history. */
let again = null;

/** Calls back once a frame with the keys that changed, and whether some came or went. */
export function subscribe(listener, signal) {
	subscribers.add(listener);
	signal?.addEventListener('abort', () => subscribers.delete(listener));
}

/** Calls back at each event with the phase before it, and with `break` when the stream of them broke. */
export function onEvent(listener, signal) {
	readers.add(listener);
	signal?.addEventListener('abort', () => readers.delete(listener));
}

export function begin() {
	end();
	running = new AbortController();
	const { signal } = running;
	follow(signal, {
		opened: (goesOn) => {
			// Listed after the stream is open: nothing falls between the two. One that goes on by its id missed nothing.
			if (!goesOn || !store.listed) list();
		},
		event: take,
		ended: (error) => {
			tell('break', {});
			if (!error?.status) return;
			// Refused, because too many are read: until it is tried again it is as if there were none.
			list();
		},
	});
}

/** Forgets all, as at a sign-out. */
export function end() {
	running?.abort();
	running = null;
	store.functions.clear();
	for (const map of [dirty, gone, looks]) map.clear();
	clearTimeout(looking);
	looking = 0;
	asks = [];
	again = null;
	Object.assign(store, { namespaces: [], faults: [], paused: false, listed: false, error: null, events: [] });
}

/** Lists all functions of all namespaces, and their history; once more if that is asked for meanwhile. */
function list(past = true) {
	const { signal } = running ?? {};
	if (!signal) return Promise.resolve();
	if (listing?.signal === signal) {
		again ??= { past: false };
		again.past ||= past;
		return listing.done;
	}
	const mine = { signal };
	listing = mine;
	mine.done = all(signal, past)
		.catch((error) => {
			if (isLeft(error) || signal.aborted) return;
			store.error = error;
			mark(null);
		})
		.finally(() => {
			if (listing !== mine) return;
			listing = null;
			const next = again;
			again = null;
			if (next) list(next.past);
		});
	return mine.done;
}

async function all(signal, past) {
	const asked = performance.now();
	listedAt = asked;
	const namespaces = await get('/system/namespaces', {}, signal);
	const answers = await Promise.all(namespaces.map((namespace) => get('/system/functions', { namespace }, signal)));
	const pasts = past
		? await Promise.all(
				namespaces.map((namespace) => get('/system/history', { namespace, points: KEPT_LOADS }, signal).catch(() => null)),
			)
		: [];
	if (signal.aborted) return;
	const seen = new Set();
	for (const status of answers.flat()) {
		const id = key(status.namespace, status.name);
		seen.add(id);
		observe(status, asked);
	}
	for (const [id, fn] of store.functions) {
		if (!seen.has(id) && fn.touched < asked) forget(id);
	}
	pasts.forEach((past, at) => past && remember(namespaces[at], past));
	Object.assign(store, { namespaces, listed: true, error: null });
	mark(null);
}

/** What a status says, in the form that events change. */
function observe(status, asked) {
	const id = key(status.namespace, status.name);
	if (gone.get(id) > asked) return;
	const known = store.functions.get(id);
	// An older list that does not have it yet does not take it away.
	const fn = known ?? {
		key: id,
		name: status.name,
		namespace: status.namespace,
		touched: asked,
		calls: [],
		failed: [],
	};
	if (known && known.touched > asked) {
		look(id);
		return;
	}
	const life = status.lifecycle ?? {};
	const replicas = status.replicas ?? 0;
	const phase = life.phase ?? (replicas === 0 ? 'stopped' : 'ready');
	Object.assign(fn, {
		status,
		phase,
		replicas,
		image: status.image,
		ready: status.availableReplicas ?? 0,
		since: life.forSeconds === undefined ? (fn.phase === phase ? fn.since : undefined) : Date.now() - life.forSeconds * 1000,
		reason: life.reason,
		generation: life.generation,
		serving: life.servingGeneration,
		restarts: life.restarts ?? 0,
		frozen: life.frozen ?? 0,
		spares: life.spares ?? 0,
		step: life.step,
		waitingFor: life.waitingFor,
		pull: life.pulled === undefined ? undefined : { pulled: life.pulled, total: life.pullTotal },
		next: life.next && { tier: life.next.tier, at: Date.now() + life.next.inSeconds * 1000 },
		retryAt: life.retryInSeconds === undefined ? undefined : Date.now() + life.retryInSeconds * 1000,
	});
	store.functions.set(id, fn);
	mark(id, !known);
}

function push(kept, value) {
	kept.push(value);
	if (kept.length > KEPT_LOADS) kept.shift();
}

function remember(namespace, { step, functions }) {
	for (const [name, past] of Object.entries(functions ?? {})) {
		const fn = store.functions.get(key(namespace, name));
		if (!fn) continue;
		fn.calls = (past.calls ?? []).map((calls) => calls / step);
		fn.failed = (past.errors ?? []).map((errors) => errors / step);
		fn.rate = fn.calls.at(-1);
		fn.errors = fn.failed.at(-1);
		fn.p99 = [past.p99].flat().at(-1);
		fn.inFlight = [past.inFlight].flat().at(-1);
		fn.loads = (fn.loads ?? 0) + 1;
		mark(fn.key);
	}
}

/** Has a function asked for anew, soon. Of many all are listed, which costs less, and only a while after the last time. */
export function look(id) {
	if (!running) return;
	looks.add(id);
	looking ||= setTimeout(askForThem, LOOK);
}

function askForThem() {
	const now = performance.now();
	asks = asks.filter((at) => at > now - LOOKS_TIME);
	const many = looks.size + asks.length > LOOKS;
	const early = listedAt + LOOKS_TIME - now;
	looking = many && early > 0 ? setTimeout(askForThem, early) : 0;
	if (looking) return;
	if (many) list(false);
	else looks.forEach(askFor);
	looks.clear();
}

async function askFor(id) {
	const { signal } = running;
	const [namespace, name] = id.split('/');
	const asked = performance.now();
	asks.push(asked);
	try {
		observe(await get(functionPath(name), { namespace }, signal), asked);
	} catch (error) {
		if (error.status === 404 && !signal.aborted) forget(id);
	}
}

function forget(id) {
	if (!store.functions.delete(id)) return;
	mark(id, true);
}

/** What an event says of a function becomes its row; what it does not say is asked for. */
function take(event, data) {
	const id = data.function && key(data.namespace, data.function);
	const fn = id && store.functions.get(id);
	const before = fn?.phase;
	if (event === 'reset') {
		// What is not well now is told next: this may be another actord.
		Object.assign(store, { faults: [], paused: false });
		mark(null);
		list();
	} else if (event === 'load') {
		loads(data);
		return;
	} else if (event === 'faults') {
		store.faults = data.faults ?? [];
		mark(null);
	} else if (event === 'paused') {
		store.paused = Boolean(data.paused);
		mark(null);
	} else if (event === 'deleted') {
		const now = performance.now();
		gone.set(id, now);
		for (const [each, at] of gone) if (at < now - FORGOTTEN) gone.delete(each);
		forget(id);
	} else if (id && !fn) {
		if (event !== 'call') look(id);
	} else if (fn) {
		fn.touched = performance.now();
		apply(fn, event, data);
		mark(id);
	}
	if (event !== 'pull' && id) {
		store.events.push({ event, data });
		if (store.events.length > KEPT_EVENTS) store.events.shift();
	}
	tell(event, data, id, before);
}

function tell(event, data, id, before) {
	for (const reader of readers) reader(event, data, id, before);
}

function apply(fn, event, data) {
	switch (event) {
		case 'phase':
			if (fn.phase !== data.phase) fn.since = new Date(data.time).getTime() || Date.now();
			Object.assign(fn, {
				phase: data.phase,
				ready: data.availableReplicas ?? 0,
				replicas: data.replicas ?? 0,
				reason: data.reason,
				generation: data.generation,
				serving: data.servingGeneration,
				retryAt: data.retryInSeconds === undefined ? undefined : Date.now() + data.retryInSeconds * 1000,
			});
			fn.frozen = data.phase === 'frozen' ? fn.ready : 0;
			if (data.phase !== 'starting' && data.phase !== 'backing off')
				Object.assign(fn, { step: undefined, waitingFor: undefined, pull: undefined });
			// How deep it rests, and what comes next, only a status says.
			look(fn.key);
			break;
		case 'deployed':
			fn.generation = data.generation;
			look(fn.key);
			break;
		case 'scale':
			fn.replicas = data.to;
			look(fn.key);
			break;
		case 'restart':
			fn.restarts = data.restarts;
			break;
		case 'step':
			Object.assign(fn, { step: data.step, waitingFor: data.waitingFor });
			if (data.step !== 'pulling') fn.pull = undefined;
			break;
		case 'pull':
			fn.pull = { pulled: data.pulled, total: data.total };
			fn.waitingFor = data.waitingFor;
			break;
		case 'refused':
			look(fn.key);
			break;
		default:
	}
}

/** Only functions whose load changed are told of; what is drawn of the others goes on as it was. */
function loads({ namespace, step, functions }) {
	for (const fn of store.functions.values()) {
		if (fn.namespace !== namespace) continue;
		const load = Object.hasOwn(functions, fn.name) ? functions[fn.name] : null;
		if (load) Object.assign(fn, { rate: load.calls / step, errors: load.errors / step, p99: load.p99, inFlight: load.inFlight });
		if (fn.rate === undefined) continue;
		push(fn.calls, fn.rate);
		push(fn.failed, fn.errors);
		if (!load && !fn.calls.some(Boolean)) continue;
		fn.loads = (fn.loads ?? 0) + 1;
		mark(fn.key);
	}
	tell('load', { namespace, functions });
}

/** Has this row written in the next frame; null: what is beside the rows. */
function mark(id, cameOrWent = false) {
	if (id) dirty.add(id);
	whole ||= cameOrWent || id === null;
	frame ||= requestAnimationFrame(flush);
}

function flush() {
	frame = 0;
	const some = whole;
	const changed = new Set(some ? dirty : [...dirty].slice(0, ROWS));
	for (const id of changed) dirty.delete(id);
	whole = false;
	if (dirty.size > 0) frame = requestAnimationFrame(flush);
	const began = performance.now();
	for (const subscriber of subscribers) subscriber(changed, some);
	timed(began, changed.size);
}

/** What the rendering took, for who measures it (the browser test prints this). */
const times = { renders: [], longTasks: [] };
globalThis.actordTimes = times;

function timed(began, rows) {
	const took = performance.now() - began;
	times.renders.push({ took, rows });
	if (times.renders.length > 5000) times.renders.splice(0, 2500);
}

if (globalThis.PerformanceObserver?.supportedEntryTypes?.includes('longtask')) {
	new PerformanceObserver((seen) => {
		times.longTasks.push(...seen.getEntries().map((entry) => entry.duration));
		if (times.longTasks.length > 5000) times.longTasks.splice(0, 2500);
	}).observe({ type: 'longtask', buffered: true });
}
