//! What most tests here stand on: a real actord with its dashboard, and a Chromium that looks at it.
//!
//! ```no_run
//! let stage = Stage::start().await;
//! let tab = stage.signed_in("#/functions").await;
//! stage.finish().await;
//! ```

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use serde_json::{Value, json};

use crate::actord::{Actord, HELLO_1, HELLO_2};
use crate::chromium::Chromium;
use crate::sample::Sample;
use crate::tab::Tab;

/// See the module.
pub(crate) struct Stage {
    pub(crate) actord: Actord,
    pub(crate) browser: Chromium,
    /// Where the dashboard is.
    pub(crate) page: SocketAddr,
}

impl Stage {
    /// With versions 1 and 2 of the sample.
    pub(crate) async fn start() -> Self {
        Self::with(|images| {
            for (reference, version) in [(HELLO_1, "1"), (HELLO_2, "2")] {
                Sample::new(reference).version(version).write(images);
            }
        })
        .await
    }

    /// With these images.
    pub(crate) async fn with(images: impl FnOnce(&Path)) -> Self {
        let page = free();
        let settings = page.to_string();
        let settings = ["--dashboard-listen", settings.as_str()];
        // The browser takes longer to come than actord does, and both wait for the disk.
        let (actord, mut browser) = tokio::join!(Actord::with(&settings, images), Chromium::start());
        for address in [actord.public, actord.provider, page] {
            browser.reaches(address);
        }
        Self { actord, browser, page }
    }

    /// The address of a page of the dashboard.
    pub(crate) fn url(&self, hash: &str) -> String {
        format!("http://{}/{hash}", self.page)
    }

    /// The password of the user admin.
    pub(crate) fn password(&self) -> String {
        let file = self.actord.data().join("auth/basic-auth-password");
        std::fs::read_to_string(file).unwrap().trim().to_owned()
    }

    /// A token of these scopes in all namespaces.
    pub(crate) async fn token(&self, scopes: &[&str]) -> String {
        let wanted = json!({ "namespaces": ["*"], "scopes": scopes, "description": "a test" });
        let answer = self.actord.system("POST", "/system/tokens", wanted).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let made: Value = serde_json::from_slice(&answer.body).unwrap();
        made["token"].as_str().unwrap().to_owned()
    }

    /// A tab at this page, signed in with the password.
    pub(crate) async fn signed_in(&self, hash: &str) -> Tab {
        let tab = self.browser.tab().await;
        tab.open(&self.url(hash)).await;
        sign_in(&tab, &self.password()).await;
        tab
    }

    /// Ends both, and looks for what is left.
    pub(crate) async fn finish(self) {
        self.browser.end().await;
        self.actord.finish().await;
    }
}

/// Signs in with the password of admin, or a token.
pub(crate) async fn sign_in(tab: &Tab, secret: &str) {
    tab.fill("#signin [name=secret]", secret).await;
    tab.press("Sign in").await;
    tab.there_is("#top nav").await;
}

/// An address that nobody listens on, outside of the range that the kernel hands out by itself.
pub(crate) fn free() -> SocketAddr {
    let any = || SocketAddr::from(([127, 0, 0, 1], rand::random_range(12_000..32_000)));
    std::iter::repeat_with(any).find(|address| TcpListener::bind(address).is_ok()).unwrap()
}
