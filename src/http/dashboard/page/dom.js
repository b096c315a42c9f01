// Elements out of plain values. Names, logs, reasons and headers are written by strangers: here they become text nodes and
// nothing else. This file alone makes elements, and knows no way to read markup.

const SVG = 'http://www.w3.org/2000/svg';

/** An element: `h('a', { href: '#/calls', click: open }, 'Calls')`. A function listens, true is an empty attribute. */
export function h(tag, attributes, ...children) {
	return fill(document.createElement(tag), attributes, children);
}

/** The same for drawings. */
export function svg(tag, attributes, ...children) {
	return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
	for (const [name, value] of Object.entries(attributes ?? {})) {
		if (value === undefined || value === null || value === false) continue;
		if (typeof value === 'function') element.addEventListener(name, value);
		else element.setAttribute(name, value === true ? '' : String(value));
	}
	element.append(...some(children));
	return element;
}

const some = (children) => children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false);

/** Writes a text where it differs: the browser lays nothing out for what stays as it is. */
export function put(element, text) {
	const said = text === undefined || text === null ? '' : String(text);
	if (element.textContent !== said) element.textContent = said;
}

export function replace(element, ...children) {
	element.replaceChildren(...some(children));
}

export function show(element, visible) {
	if (element.hidden === visible) element.hidden = !visible;
}

/** A button that changes something on the machine: it can't be pressed while actord does not answer (link.js). */
export function changes(label, press, attributes) {
	const button = h('button', { type: 'button', 'data-changes': true, click: press, ...attributes }, label);
	if (document.body.dataset.held) hold(button, document.body.dataset.held);
	return button;
}

/** Says of a button why it can't be pressed now; without a reason it can. */
export function hold(button, reason) {
	button.disabled = Boolean(reason) || button.dataset.busy !== undefined;
	if (reason) button.title = reason;
	else button.removeAttribute('title');
}

/** Keeps a button from being pressed twice while what it began goes on. */
export async function busy(button, work) {
	button.dataset.busy = '';
	button.disabled = true;
	try {
		return await work();
	} finally {
		delete button.dataset.busy;
		hold(button, document.body.dataset.held);
	}
}

/** A field for names and the like: no spelling is mended in it. */
export const plainInput = (attributes) =>
	h('input', { spellcheck: 'false', autocapitalize: 'none', autocomplete: 'off', ...attributes });

/** A field with its name above it, and what is to be known about it below. */
export function field(label, input, help) {
	const id = input.id || unique();
	input.id = id;
	const note = help && h('small', { id: `${id}-help`, class: 'help' }, help);
	if (note) input.setAttribute('aria-describedby', note.id);
	return h('div', { class: 'field' }, h('label', { for: id }, label), input, note);
}

let made = 0;
export const unique = () => `x${++made}`;

/** A choice of texts, or of [value, text], that has its name only for who hears it. */
export function choice(name, label, options, change, chosen) {
	const element = h('select', { name, 'aria-label': label, change });
	offer(element, options, chosen);
	return element;
}

/** Offers these, and keeps what was chosen where that is still there. */
export function offer(element, options, chosen = element.value) {
	const pairs = options.map((each) => (Array.isArray(each) ? each : [each, each]));
	element.replaceChildren(...pairs.map(([value, text]) => h('option', { value }, text)));
	if (pairs.some(([value]) => value === chosen)) element.value = chosen;
}

/** A field to search by. */
export const searchField = (name, label, attributes) =>
	h('input', { type: 'search', name, placeholder: label, 'aria-label': label, ...attributes });

/** A text as it was written, that can be scrolled by keyboard, too. */
export const written = (label, text) => h('pre', { class: 'body', tabindex: '0', role: 'region', 'aria-label': label }, text);

const known = ([, value]) => value !== undefined && value !== null && value !== '' && value !== false;
const fact = ([term, value]) => h('div', null, h('dt', null, term), h('dd', null, value));

/** A list of what is known: terms and texts or elements. What is not known is left out. */
export const facts = (pairs) => h('dl', { class: 'facts' }, pairs.filter(known).map(fact));

/** The same of texts alone, to be set again and again: what stays as it is is not touched, so that it can be marked and copied. */
export function liveFacts() {
	const element = h('div');
	const rows = new Map();
	return {
		element,
		set(pairs) {
			if (!element.firstChild) element.append(facts([]));
			for (const pair of pairs) {
				const row = rows.get(pair[0]) ?? fact(pair);
				rows.set(pair[0], row);
				put(row.lastChild, pair[1]);
				show(row, known(pair));
				if (!row.parentNode) element.firstChild.append(row);
			}
		},
	};
}
