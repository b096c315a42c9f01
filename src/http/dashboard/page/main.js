// The page as a whole: what stands at its top, which page is open, whether actord answers, who is signed in.

import { onRefused, send } from './api.js';
import { h, put, replace, show } from './dom.js';
import { clock, moment, span } from './format.js';
import { keep, kept } from './kept.js';
import { onLink, state as link } from './link.js';
import { clear, say } from './notices.js';
import { isWell } from './phase.js';
import { callPage, callsPage } from './page-calls.js';
import { deployPage, updatePage } from './page-deploy.js';
import { functionPage } from './page-function.js';
import { functionsPage } from './page-functions.js';
import { invokePage } from './page-invoke.js';
import { logsPage } from './page-logs.js';
import { machinePage } from './page-machine.js';
import { schedulesPage } from './page-schedules.js';
import { secretsPage } from './page-secrets.js';
import { signInPage } from './page-signin.js';
import * as router from './router.js';
import { can, forget, resume, session, signOut } from './session.js';
import * as store from './store.js';

const main = document.getElementById('main');
const top = document.getElementById('top');
const bar = document.getElementById('bar');
const PLACES = [
	['functions', 'Functions'],
	['calls', 'Calls'],
	['schedules', 'Schedules'],
	['secrets', 'Secrets'],
	['machine', 'Machine', true],
];
const THEME = 'actord-theme';
/** The files of this page have their hash in their address; another one at `/` is a newer page. */
const HASH = new URL(import.meta.url).pathname.split('/')[1];

router.page('/functions', functionsPage);
router.page('/deploy', deployPage);
router.page('/function/:namespace/:name', functionPage);
router.page('/function/:namespace/:name/logs', logsPage);
router.page('/function/:namespace/:name/invoke', invokePage);
router.page('/function/:namespace/:name/update', updatePage);
router.page('/calls', callsPage);
router.page('/call/:id', callPage);
router.page('/schedules', schedulesPage);
router.page('/secrets', secretsPage);
router.page('/machine', machinePage);

/** So long before its end a session is said to end. */
const SOON = 10 * 60_000;

let isOpen = false;
/** What was open when a session ended, with all that was typed there: for the same one, who goes on with it. */
let left = null;
let ending = 0;

/** What was asked on a page is not asked on another one. */
const closeDialogs = () => document.querySelectorAll('dialog').forEach((dialog) => dialog.close());

/** Shows the page of the address to who is signed in. */
function navigate() {
	if (!isOpen) return;
	closeDialogs();
	router.show(main);
	tellPlace();
}

function tellPlace() {
	const here = location.hash.split('/')[1];
	for (const link of top.querySelectorAll('nav a')) {
		const place = link.hash.split('/')[1];
		if (place === here || { function: 'functions', deploy: 'functions', call: 'calls' }[here] === place)
			link.setAttribute('aria-current', 'page');
		else link.removeAttribute('aria-current');
	}
}

function enter() {
	isOpen = true;
	store.begin();
	const theme = h('button', { type: 'button', class: 'quiet', click: () => turn(theme) });
	tellTheme(theme);
	replace(
		top,
		h('a', { class: 'brand', href: '#/functions' }, 'actord'),
		h(
			'nav',
			{ 'aria-label': 'Pages' },
			PLACES.filter(([, , admin]) => !admin || can.admin).map(([path, title]) => h('a', { href: router.to(path) }, title)),
		),
		h('span', { class: 'grow' }),
		h('span', { class: 'who', title: reach() }, session.who, !can.write && h('small', null, ' read-only')),
		theme,
		h('button', { type: 'button', class: 'quiet', click: leave }, 'Sign out'),
	);
	show(top, true);
	if (left?.who === session.who && left.address === location.hash) {
		goOn(left);
		tellPlace();
	} else navigate();
	left = null;
	clearTimeout(ending);
	const time = timeLeft() - SOON;
	// Browsers take no longer times, and a later end needs no word.
	if (time < 2 ** 31)
		ending = setTimeout(() => {
			writeBar();
			say('Your sign-in ends soon');
		}, time);
	writeBar();
}

const timeLeft = () => (session?.endsAt ? new Date(session.endsAt) - Date.now() : Infinity);

function goOn({ nodes, title, dialogs, focus, scrolled }) {
	replace(main, nodes);
	document.title = title;
	for (const dialog of dialogs) {
		document.body.append(dialog);
		dialog.open = false;
		dialog.showModal();
	}
	scrollTo(0, scrolled);
	(focus?.isConnected ? focus : main.querySelector('h1')).focus({ preventScroll: true });
}

function reach() {
	const where = session.namespaces.includes('*') ? 'all namespaces' : session.namespaces.join(', ');
	return `${session.admin ? 'all rights' : session.scopes.join(', ')} in ${where}${session.endsAt ? `, until ${moment(session.endsAt)}` : ''}`;
}

async function leave() {
	isOpen = false;
	signedOut((await signOut()) ?? 'You are signed out.');
}

/** Asks to sign in. The address stays, and so does what it leads to; `goesOn`: also what was typed there, for the same one. */
function signedOut(why, goesOn = false) {
	isOpen = false;
	const dialogs = [...document.querySelectorAll('dialog')];
	left = goesOn && {
		who: session?.who,
		address: location.hash,
		title: document.title,
		nodes: [...main.childNodes],
		dialogs,
		focus: document.activeElement,
		scrolled: scrollY,
	};
	if (goesOn) dialogs.forEach((dialog) => dialog.remove());
	else {
		closeDialogs();
		router.close();
	}
	store.end();
	clear();
	show(top, false);
	writeBar();
	const page = signInPage(why, enter);
	document.title = 'Sign in · actord';
	const heading = h('h1', { tabindex: '-1' }, 'Sign in to actord');
	replace(main, h('div', { class: 'signin' }, heading, page.element));
	page.begin();
}

onRefused(() => {
	if (isOpen)
		signedOut('Your sign-in does not hold any more: sign in again to go on where you were. What you typed is kept.', true);
	forget();
});

/* The colours: as the machine has them, or one of the two. */

function turn(button) {
	const next = { auto: 'light', light: 'dark', dark: 'auto' }[chosen()];
	paint(next);
	tellTheme(button);
	keep(THEME, next === 'auto' ? null : next);
}

const chosen = () => document.documentElement.dataset.theme ?? 'auto';

function tellTheme(button) {
	put(button, { auto: 'Auto', light: 'Light', dark: 'Dark' }[chosen()]);
	button.setAttribute('aria-label', `Colours: ${chosen()}`);
}

function paint(kept) {
	if (kept === 'light' || kept === 'dark') document.documentElement.dataset.theme = kept;
	else delete document.documentElement.dataset.theme;
}

/* The bar: whether actord answers, and whether this page is the newest. */

let ticking = 0;
let newer = false;

function writeBar() {
	const down = link.downSince !== null;
	const trial = !down && link.trialUntil !== null;
	const ends = isOpen && timeLeft() > 0 && timeLeft() <= SOON;
	if (down)
		put(
			bar,
			`actord does not answer, since ${span((Date.now() - link.downSince) / 1000)}; it is tried again. What is shown is how it was then.`,
		);
	else if (trial)
		put(bar, `An upgrade is on trial for ${span((link.trialUntil - Date.now()) / 1000)}: nothing is changed until then.`);
	else if (ends)
		replace(
			bar,
			`Your sign-in ends at ${clock(new Date(session.endsAt))}. `,
			h('button', { type: 'button', click: () => signedOut('Sign in again, and go on where you were.', true) }, 'Sign in again'),
		);
	else if (newer)
		replace(bar, 'A newer page is there. ', h('button', { type: 'button', click: () => location.reload() }, 'Reload'));
	show(bar, down || trial || ends || newer);
	bar.dataset.tone = down ? 'bad' : 'warn';
	clearInterval(ticking);
	if (down || trial) ticking = setInterval(writeBar, 1000);
}

let wasDown = false;
onLink(() => {
	const down = link.downSince !== null;
	writeBar();
	if (down === wasDown) return;
	wasDown = down;
	say(down ? 'actord does not answer' : 'actord answers again');
	if (!down) isNewer();
});

/** After a restart the page may be another one: then what leads to it names other files. */
async function isNewer() {
	const index = await send('GET', '/', { patience: 5000 }).then(
		(answer) => answer.text(),
		() => '',
	);
	newer = index !== '' && !index.includes(`/${HASH}/`);
	writeBar();
}

/* What is read out: functions that get into trouble, and out of it. That they freeze and thaw is no news. */

const ill = new Set();

store.onEvent((event, data, id, before) => {
	if (event === 'phase' && data.phase !== 'starting') {
		if (before && !isWell(before)) ill.add(id);
		const well = isWell(data.phase);
		if (well === ill.has(id)) say(`${id.split('/')[1]} is ${data.phase}`);
		if (well) ill.delete(id);
		else ill.add(id);
	}
	if (event === 'deleted') ill.delete(id);
	// A restart may be over before anything was found out to be gone.
	if (event === 'reset') isNewer();
});

document.getElementById('skip').addEventListener('click', (event) => {
	// The address says which page is open: it must not become #main.
	event.preventDefault();
	main.focus();
});
addEventListener('hashchange', navigate);
paint(kept(THEME));
if (resume()) enter();
else signedOut('');
