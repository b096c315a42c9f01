//! One tab: what is seen in it, and what a person does there.
//!
//! Nothing is pressed that could not be pressed by hand: a button that is covered, away or disabled fails the test. What is typed
//! goes in as the keyboard's input, and each wait is one for a state that is told by its words.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chromiumoxide::Page;
use chromiumoxide::cdp::browser_protocol::emulation::{MediaFeature, SetDeviceMetricsOverrideParams};
use chromiumoxide::cdp::browser_protocol::input::{DispatchKeyEventParams, DispatchKeyEventType, InsertTextParams};
use chromiumoxide::cdp::browser_protocol::log::EventEntryAdded;
use chromiumoxide::cdp::browser_protocol::target::SetAutoAttachParams;
use chromiumoxide::cdp::js_protocol::runtime::{EvaluateParams, EventExceptionThrown};
use chromiumoxide::page::ScreenshotParams;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a person would press: it has this text, is seen, is not disabled, and nothing lies on it.
const PRESS: &str = r"((label, within) => {
    const all = [...document.querySelectorAll(`${within} button, ${within} a, ${within} summary, ${within} label`)];
    const named = (e) => (e.getAttribute('aria-label') ?? e.textContent).trim() === label || e.textContent.trim() === label;
    const it = all.find((e) => named(e) && e.offsetParent !== null);
    if (!it) return 'there is none';
    if (it.disabled) return `it is disabled: ${it.title}`;
    it.scrollIntoView({ block: 'center' });
    const box = it.getBoundingClientRect();
    const top = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
    if (!top || (!it.contains(top) && !top.contains(it))) return `${top?.outerHTML.slice(0, 80)} lies on it`;
    it.focus();
    it.click();
    return '';
})";

/// See the module.
pub(crate) struct Tab {
    page: Page,
    /// What went wrong in it, as the browser tells in its console.
    complaints: Arc<Mutex<Vec<String>>>,
}

impl Tab {
    pub(crate) async fn of(page: Page) -> Self {
        let complaints = Arc::<Mutex<Vec<String>>>::default();
        let mut thrown = page.event_listener::<EventExceptionThrown>().await.unwrap();
        let mut entries = page.event_listener::<EventEntryAdded>().await.unwrap();
        page.enable_log().await.unwrap();
        let kept = complaints.clone();
        tokio::spawn(async move {
            loop {
                let said = tokio::select! {
                    Some(event) = thrown.next() => format!("{:?}", event.exception_details),
                    Some(event) = entries.next() => format!("{:?}: {}", event.entry.source, event.entry.text),
                    else => break,
                };
                kept.lock().unwrap().push(said);
            }
        });
        Self { page, complaints }
    }

    /// What the console has, but for answers that are no 2xx: a test asks for some of them.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let all = self.complaints.lock().unwrap().clone();
        all.into_iter().filter(|said| !said.starts_with("Network: ")).collect()
    }

    // ---- the tab -------------------------------------------------------------------------------------------------

    /// Goes to an address and waits until its document is there.
    pub(crate) async fn open(&self, url: &str) {
        self.page.goto(url).await.unwrap_or_else(|why| panic!("{url}: {why}"));
    }

    /// Closes it.
    pub(crate) async fn close(self) {
        self.page.close().await.unwrap();
    }

    pub(crate) async fn reload(&self) {
        self.page.reload().await.unwrap();
    }

    /// Lets the workers that it starts run by themselves: the crate would hold each of them, as it does with frames, and does not
    /// always let go of it.
    pub(crate) async fn leaves_workers_alone(&self) {
        let attach = SetAutoAttachParams::builder().auto_attach(false).wait_for_debugger_on_start(false).flatten(true);
        self.page.execute(attach.build().unwrap()).await.unwrap();
    }

    pub(crate) async fn to_the_front(&self) {
        self.page.bring_to_front().await.unwrap();
    }

    /// How large the page is, in CSS pixels.
    pub(crate) async fn size(&self, width: i64, height: i64) {
        self.page.execute(SetDeviceMetricsOverrideParams::new(width, height, 1.0, false)).await.unwrap();
    }

    /// `light` or `dark`, as the machine would have it.
    pub(crate) async fn colours(&self, scheme: &str) {
        let feature = MediaFeature::new("prefers-color-scheme", scheme);
        self.page.emulate_media_features(vec![feature]).await.unwrap();
    }

    /// A picture of what is seen, or of the whole page.
    pub(crate) async fn picture(&self, whole: bool) -> Vec<u8> {
        // Not the crate's `full_page`: that forgets how large the page was made.
        let wanted = ScreenshotParams::builder().capture_beyond_viewport(whole).build();
        self.page.screenshot(wanted).await.unwrap()
    }

    // ---- what is seen --------------------------------------------------------------------------------------------

    /// The value of an expression, or why there is none.
    pub(crate) async fn tried(&self, expression: &str) -> Result<Value, String> {
        let asked = EvaluateParams::builder()
            .expression(expression)
            .await_promise(true)
            .return_by_value(true)
            .user_gesture(true)
            .build()?;
        let answer = self.page.execute(asked).await.map_err(|why| why.to_string())?;
        if let Some(thrown) = &answer.result.exception_details {
            let thrown = thrown.exception.as_ref().and_then(|error| error.description.clone());
            return Err(thrown.unwrap_or_else(|| "something was thrown".to_owned()));
        }
        Ok(answer.result.result.value.clone().unwrap_or_default())
    }

    /// The value of an expression.
    pub(crate) async fn js(&self, expression: &str) -> Value {
        self.tried(expression).await.unwrap_or_else(|why| panic!("{why}: {expression}"))
    }

    /// Waits until an expression, or what it promises, is true. While a document comes, there may be none that it could be asked of.
    pub(crate) async fn until(&self, expression: &str) {
        let begun = Instant::now();
        loop {
            let found = self.tried(&format!("(async () => Boolean(await ({expression})))()")).await;
            if found == Ok(Value::Bool(true)) {
                return;
            }
            if begun.elapsed() > PATIENCE {
                let seen = self.tried("document.body.innerText").await;
                let console = self.complaints.lock().unwrap().clone();
                panic!(
                    "not within {PATIENCE:?}: {expression} ({found:?}); seen: {seen:#?}; the console has {console:#?}"
                );
            }
            sleep(Duration::from_millis(25)).await;
        }
    }

    /// Waits until this text is in what the selector finds.
    pub(crate) async fn see(&self, selector: &str, text: &str) {
        let (selector, text) = (json!(selector), json!(text));
        self.until(&format!("[...document.querySelectorAll({selector})].some((e) => e.textContent.includes({text}))"))
            .await;
    }

    /// Waits until there is something that the selector finds.
    pub(crate) async fn there_is(&self, selector: &str) {
        self.until(&format!("document.querySelector({})", json!(selector))).await;
    }

    /// Waits until there is nothing that the selector finds.
    pub(crate) async fn there_is_no(&self, selector: &str) {
        self.until(&format!("!document.querySelector({})", json!(selector))).await;
    }

    /// The text of what the selector finds first.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let found = self.js(&format!("document.querySelector({}).textContent", json!(selector))).await;
        found.as_str().unwrap().to_owned()
    }

    /// How many the selector finds.
    pub(crate) async fn count(&self, selector: &str) -> u64 {
        self.js(&format!("document.querySelectorAll({}).length", json!(selector))).await.as_u64().unwrap()
    }

    // ---- what a person does --------------------------------------------------------------------------------------

    /// Goes to a page of the dashboard by its address.
    pub(crate) async fn go(&self, hash: &str) {
        self.js(&format!("location.hash = {}", json!(hash))).await;
    }

    /// Presses what has this text, once it can be pressed.
    pub(crate) async fn press(&self, label: &str) {
        self.press_in("body", label).await;
    }

    /// Presses what has this text in what the selector finds.
    pub(crate) async fn press_in(&self, within: &str, label: &str) {
        let (press, begun) = (format!("{PRESS}({}, {})", json!(label), json!(within)), Instant::now());
        loop {
            match self.js(&press).await.as_str().unwrap() {
                "" => return,
                why => assert!(begun.elapsed() < PATIENCE, "{label:?} in {within} can't be pressed: {why}"),
            }
            sleep(Duration::from_millis(25)).await;
        }
    }

    /// Writes a text into a field in place of what is there.
    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        self.there_is(selector).await;
        let field = json!(selector);
        self.js(&format!("(() => {{ const e = document.querySelector({field}); e.focus(); e.select(); }})()")).await;
        self.type_in(text).await;
        let value = self.js(&format!("document.querySelector({field}).value")).await;
        assert_eq!(value, text, "{selector}");
    }

    /// Types where the focus is.
    pub(crate) async fn type_in(&self, text: &str) {
        self.page.execute(InsertTextParams::new(text)).await.unwrap();
    }

    /// Chooses one of a list.
    pub(crate) async fn choose(&self, selector: &str, value: &str) {
        self.there_is(selector).await;
        let (field, value) = (json!(selector), json!(value));
        let chosen = format!(
            "(() => {{ const e = document.querySelector({field}); e.value = {value};
             e.dispatchEvent(new Event('change', {{ bubbles: true }})); return e.value; }})()"
        );
        assert_eq!(self.js(&chosen).await, value, "{selector}");
    }

    /// Presses a key: `Tab`, `Enter`, `Escape` or `Space`.
    pub(crate) async fn key(&self, name: &str) {
        let (key, code, number, text) = match name {
            "Tab" => ("Tab", "Tab", 9, None),
            "Enter" => ("Enter", "Enter", 13, Some("\r")),
            "Escape" => ("Escape", "Escape", 27, None),
            "Space" => (" ", "Space", 32, Some(" ")),
            other => panic!("no such key here: {other}"),
        };
        let event =
            |kind| DispatchKeyEventParams::builder().r#type(kind).key(key).code(code).windows_virtual_key_code(number);
        let down = match text {
            Some(text) => event(DispatchKeyEventType::KeyDown).text(text),
            None => event(DispatchKeyEventType::RawKeyDown),
        };
        self.page.execute(down.build().unwrap()).await.unwrap();
        self.page.execute(event(DispatchKeyEventType::KeyUp).build().unwrap()).await.unwrap();
    }
}
