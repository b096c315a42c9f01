//! Five hundred functions that change all the time.
//!
//! Over the engine in memory: what is measured is the page. The figures are printed for who reads them; what must hold is that each
//! row says in the end what the API says.

use std::time::Duration;

use actord::engine::Engine as _;
use actord::function::FunctionId;
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};

use crate::chromium::Chromium;
use crate::stage::sign_in;
use crate::support::House;

const FUNCTIONS: usize = 500;
/// Changes in all; each is told by two events.
const CHANGES: u32 = 400;
/// One change after the other.
const PAUSE: Duration = Duration::from_millis(20);

/// Rows that do not say what the API says, or are not there; and how many there are.
const WRONG: &str = r"(async () => {
    const { authorization } = JSON.parse(sessionStorage.getItem('actord-session'));
    const ask = (namespace) => fetch(`/system/functions?namespace=${namespace}`, { headers: { Authorization: authorization } });
    const all = (await Promise.all(['openfaas-fn', 'dev'].map((namespace) => ask(namespace).then((answer) => answer.json())))).flat();
    const rows = new Map([...document.querySelectorAll('#functions tbody tr')].map((row) => [
        `${row.cells[0].lastChild.textContent}/${row.cells[0].firstChild.textContent}`, row]));
    const says = (row) => `${row?.querySelector('.state').textContent.trim()} ${row?.cells[3].textContent}`;
    const right = (fn) => `${fn.lifecycle?.phase ?? 'ready'} ${fn.availableReplicas}/${fn.replicas}`;
    const wrong = all.filter((fn) => !says(rows.get(`${fn.namespace}/${fn.name}`)).endsWith(right(fn)));
    return [rows.size, wrong.map((fn) => `${fn.name}: ${right(fn)}, not ${says(rows.get(`${fn.namespace}/${fn.name}`))}`)];
})()";

/// `p50 1.2 ms, p99 3.4 ms, at most 5.6 ms` of times in milliseconds.
fn quantiles(times: &Value) -> String {
    let mut times: Vec<f64> = times.as_array().unwrap().iter().map(|time| time.as_f64().unwrap()).collect();
    times.sort_by(f64::total_cmp);
    let at =
        |part: usize| times.get((times.len() * part / 100).min(times.len().saturating_sub(1))).copied().unwrap_or(0.0);
    format!("p50 {:.1} ms, p99 {:.1} ms, at most {:.1} ms", at(50), at(99), at(100))
}

#[actix_web::test]
async fn five_hundred_functions_that_change_all_the_time_are_all_shown_as_they_are() {
    let (house, mut browser) = tokio::join!(House::public(), Chromium::start());
    let name = |n: usize| format!("f{n:03}.{}", if n.is_multiple_of(5) { "dev" } else { "openfaas-fn" });
    (0..FUNCTIONS).for_each(|n| house.add(&name(n), "docker.io/acme/shop:1"));
    let page = house.dashboard();
    browser.reaches(page);
    let tab = browser.tab().await;
    tab.open(&format!("http://{page}/")).await;
    sign_in(&tab, "secret-pw").await;
    tab.until(&format!("document.querySelectorAll('#functions tbody tr').length === {FUNCTIONS}")).await;
    tab.js("actordTimes.renders.length = actordTimes.longTasks.length = 0").await;

    let mut pace = interval(PAUSE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for change in 0..CHANGES {
        pace.tick().await;
        // A step that has no divisor with the number of functions comes to all of them.
        let id: FunctionId = name(change as usize * 37 % FUNCTIONS).parse().unwrap();
        house.engine.scale(&id, change % 4 + 2).await.unwrap();
        if change == CHANGES / 2 {
            // Who looks for one of them meanwhile finds it.
            tab.fill("[name=filter]", "f12").await;
            tab.until("document.querySelectorAll('#functions tbody tr:not([hidden])').length === 10").await;
            tab.js("(() => { const f = document.querySelector('[name=filter]'); f.value = ''; f.dispatchEvent(new Event('input')); })()").await;
        }
    }
    let all_right = format!("{WRONG}.then(([rows, wrong]) => rows === {FUNCTIONS} && wrong.length === 0)");
    tab.until(&all_right).await;
    let times = tab.js("({ renders: actordTimes.renders.map((one) => one.took), long: actordTimes.longTasks })").await;
    let many = |of: &str| times[of].as_array().unwrap().len();
    println!("{FUNCTIONS} functions, {CHANGES} changes: {} renders, {}", many("renders"), quantiles(&times["renders"]));
    println!("tasks of 50 ms and more: {}, {}", many("long"), quantiles(&times["long"]));
    assert!(many("renders") > 10, "rows were written as events came, not all at the end");
    assert_eq!(tab.complaints(), Vec::<String>::new());
    browser.end().await;
}
