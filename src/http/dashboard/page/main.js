// The page as a whole: what stands at its top, which page is open, whether actord answers, who is signed in.

import { onRefused, send } from './api.js';
import { h, put, replace, show } from './dom.js';
import { moment, span } from './format.js';
import { keep, kept } from './kept.js';
import { onLink, state as link } from './link.js';
import { clear, say } from './notices.js';
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

let isOpen = false;

/** What was asked on a page is not asked on another one. */
const closeDialogs = () => document.querySelectorAll('dialog').forEach((dialog) => dialog.close());

/** Shows the page of the address to who is signed in. */
function navigate() {
	if (!isOpen) return;
	closeDialogs();
	router.show(main);
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
	navigate();
}

function reach() {
	const where = session.namespaces.includes('*') ? 'all namespaces' : session.namespaces.join(', ');
	return `${session.admin ? 'all rights' : session.scopes.join(', ')} in ${where}${session.endsAt ? `, until ${moment(session.endsAt)}` : ''}`;
}

async function leave() {
	await signOut();
	signedOut('You are signed out.');
}

/** Asks to sign in. The address stays, and so does what it leads to. */
function signedOut(why) {
	isOpen = false;
	router.close();
	store.end();
	clear();
	closeDialogs();
	show(top, false);
	const page = signInPage(why, enter);
	document.title = 'Sign in · actord';
	const heading = h('h1', { tabindex: '-1' }, 'Sign in to actord');
	replace(main, h('div', { class: 'signin' }, heading, page.element));
	page.begin();
}

onRefused(() => {
	if (!isOpen) return;
	forget();
	signedOut('Your sign-in does not hold any more: sign in again to go on where you were.');
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
	if (down)
		put(
			bar,
			`actord does not answer, since ${span((Date.now() - link.downSince) / 1000)}; it is tried again. What is shown is how it was then.`,
		);
	else if (trial)
		put(bar, `An upgrade is on trial for ${span((link.trialUntil - Date.now()) / 1000)}: nothing is changed until then.`);
	else if (newer)
		replace(bar, 'A newer page is there. ', h('button', { type: 'button', click: () => location.reload() }, 'Reload'));
	show(bar, down || trial || newer);
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

/* What is read out: functions that change their state. */

store.onEvent((event, data, id) => {
	if (event === 'phase' && data.phase !== 'starting') say(`${id.split('/')[1]} is ${data.phase}`);
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
