//! What axe-core finds on a page. Where it could not be had (no npm, or none that it is served by), that is said, and the page is
//! held to a list of our own.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::tab::Tab;

/// axe-core, as config/setup --test has put it there.
static AXE: LazyLock<Option<String>> = LazyLock::new(|| std::fs::read_to_string(file()).ok());

fn file() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    Path::new(env!("CARGO_MANIFEST_DIR")).join(target).join("tools/axe/axe.min.js")
}

/// Says which of the two it is.
pub(crate) fn which() -> &'static str {
    if AXE.is_some() {
        "axe-core"
    } else {
        "axe: NOT RUN, config/setup --test found no npm registry; a list of our own instead"
    }
}

/// Findings of axe-core that are not of the kind that is nice to have, each with the elements that it is about.
const RUN: &str = r"axe.run(document, { resultTypes: ['violations'] }).then((all) => [all.passes.length, all.violations
    .filter((found) => found.impact !== 'minor')
    .map((found) => `${found.impact} ${found.id}: ${found.help}: ${found.nodes.map((node) => node.html.slice(0, 160)).join(' ')}`)])";

/// The list of our own: names of controls, captions and headings of tables, one h1, a language, and the contrast of texts.
const OWN: &str = r"(() => {
    const found = [];
    const say = (what, e) => found.push(`${what}: ${e.outerHTML.slice(0, 160)}`);
    const all = (selector) => [...document.querySelectorAll(selector)].filter((e) => e.offsetParent !== null);
    const name = (e) => e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.labels?.[0]?.textContent || e.textContent;
    for (const e of all('button, a[href], input, select, textarea, summary, meter, progress')) if (!name(e).trim()) say('no name', e);
    for (const e of all('table')) if (!e.caption?.textContent) say('no caption', e);
    for (const e of all('th')) if (!e.scope) say('no scope', e);
    if (all('h1').length !== 1) say('not one h1', document.body);
    if (!document.documentElement.lang) say('no language', document.documentElement);
    const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
    const behind = (e) => { for (let at = e; at; at = at.parentElement) { const c = numbers(getComputedStyle(at).backgroundColor); if (c.length < 4 || c[3] === 1) return c; } return [255, 255, 255]; };
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let checked = 0;
    while (texts.nextNode()) {
        const e = texts.currentNode.parentElement;
        if (!texts.currentNode.textContent.trim() || e.offsetParent === null || e.closest('.unseen, option, :disabled, svg')) continue;
        const [a, b] = [light(numbers(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
        checked += 1;
        if ((a + 0.05) / (b + 0.05) < 4.5) say('too little contrast', e);
    }
    return [checked, [...new Set(found)]];
})()";

/// What is wrong with the open page.
pub(crate) async fn findings(tab: &Tab) -> Vec<String> {
    let looked = match &*AXE {
        Some(axe) => {
            tab.js(&format!("globalThis.axe || (() => {{ {axe}; }})(); true")).await;
            tab.js(RUN).await
        }
        None => tab.js(OWN).await,
    };
    let (passed, found): (u64, Vec<String>) = serde_json::from_value(looked).unwrap();
    assert!(passed > 10, "nearly nothing was looked at: {passed}");
    found
}

/// What is wrong with a page that is known to be bad: a control without a name and a text that can hardly be read.
pub(crate) async fn of_a_bad_page(tab: &Tab) -> Vec<String> {
    let add = r"(() => {
        const bad = document.createElement('p');
        bad.id = 'bad';
        bad.append(document.createElement('button'), 'hardly to be read');
        bad.style.color = '#888888';
        bad.style.backgroundColor = '#808080';
        document.getElementById('main').append(bad);
    })()";
    tab.js(add).await;
    let found = findings(tab).await;
    tab.js("document.getElementById('bad').remove()").await;
    found
}

/// Whether these name the two that [`of_a_bad_page`] has.
pub(crate) fn name_both(found: &[String]) -> bool {
    let has = |one: &[&str]| found.iter().any(|each| one.iter().any(|name| each.contains(name)));
    has(&["button-name", "no name"]) && has(&["color-contrast", "too little contrast"])
}
