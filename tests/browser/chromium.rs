//! A Chromium of a test's own, without a window, with a home that goes with it. For it `gateway.test` is this machine.
//!
//! ```text
//! Chromium in a network of its own (lo alone) -- 127.0.0.1:PORT there -> handed on -> 127.0.0.1:PORT here: actord
//! ```
//! A browser gives up what is under way as soon as an address of its machine comes or goes, and other tests make bridges all the
//! time. In its own network nothing changes, and nothing but what a test names can be reached from it.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chromiumoxide::Page;
use chromiumoxide::browser::Browser;
use chromiumoxide::handler::HandlerConfig;
use chromiumoxide::handler::viewport::Viewport;
use futures_util::StreamExt as _;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::tab::Tab;

/// What it is told: nothing that asks the network for something by itself, and nothing that needs more than a plain container.
const FLAGS: &[&str] = &[
    "--headless=new",
    // Its own sandbox needs rights that root in a container does not have; what it shows is ours.
    "--no-sandbox",
    "--remote-debugging-port=0",
    "--host-resolver-rules=MAP gateway.test 127.0.0.1",
    "--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--mute-audio",
    // What a page does by itself is not kept from it: a test says what comes of it.
    "--disable-popup-blocking",
    // A tab in the background is to go on as one that is looked at: tests have several.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
];

/// How large a tab's page is at first.
const SIZE: (u32, u32) = (1280, 900);

/// See the module.
pub(crate) struct Chromium {
    browser: Browser,
    process: Running,
    /// The driver's ear, and what hands connections on.
    tasks: Vec<JoinHandle<()>>,
    home: TempDir,
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Chromium {
    /// Starts it.
    pub(crate) async fn start() -> Self {
        let home = tempfile::Builder::new().prefix("actord-chromium-").tempdir().unwrap();
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"]).arg(program()).args(FLAGS);
        command.arg(format!("--user-data-dir={}", home.path().display())).arg("about:blank");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = Running(command.spawn().unwrap());
        let said = BufReader::new(process.0.stderr.take().unwrap());
        let url = spawn_blocking(move || {
            let mut lines = said.lines().map_while(Result::ok);
            let url = lines.find_map(|line| line.strip_prefix("DevTools listening on ").map(str::to_owned));
            // What it says later is read away: it would wait for room.
            std::thread::spawn(move || lines.for_each(drop));
            url
        });
        let url = url.await.unwrap().unwrap_or_else(|| panic!("Chromium has ended: {:?}", process.0.wait()));
        let (host, path) = url.strip_prefix("ws://").unwrap().split_once('/').unwrap();

        // The driver is here, and what it drives is there.
        let inner = inside(process.0.id(), || std::net::TcpStream::connect(host)).unwrap();
        let outer = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/{path}", outer.local_addr().unwrap());
        let wire = tokio::spawn(async move {
            let (mut outer, _) = outer.accept().await.unwrap();
            _ = copy_bidirectional(&mut outer, &mut here(inner)).await;
        });
        let viewport = Viewport { width: SIZE.0, height: SIZE.1, ..Viewport::default() };
        let config = HandlerConfig {
            viewport: Some(viewport),
            request_timeout: Duration::from_secs(60),
            ..HandlerConfig::default()
        };
        let connected = Browser::connect_with_config(url, config).await;
        let (browser, mut events) = connected.unwrap_or_else(|why| panic!("Chromium: {why}"));
        // A Chromium that is newer than the crate tells of things that it can't read: these are passed over.
        let listens = tokio::spawn(async move { while events.next().await.is_some() {} });
        Self { browser, process, tasks: vec![wire, listens], home }
    }

    /// Lets it reach this address of this machine, by the same address.
    pub(crate) fn reaches(&mut self, address: SocketAddr) {
        let there = inside(self.process.0.id(), || std::net::TcpListener::bind(address)).unwrap();
        there.set_nonblocking(true).unwrap();
        let there = TcpListener::from_std(there).unwrap();
        self.tasks.push(tokio::spawn(async move {
            loop {
                let (mut from, _) = there.accept().await.unwrap();
                tokio::spawn(async move {
                    // Where nobody listens it is closed.
                    if let Ok(mut to) = TcpStream::connect(address).await {
                        _ = copy_bidirectional(&mut from, &mut to).await;
                    }
                });
            }
        }));
    }

    /// A new tab.
    pub(crate) async fn tab(&self) -> Tab {
        Tab::of(self.browser.new_page("about:blank").await.unwrap()).await
    }

    /// The tabs that there are, also those that a page has opened.
    pub(crate) async fn pages(&self) -> Vec<Page> {
        self.browser.pages().await.unwrap()
    }

    /// Ends it and removes its home.
    pub(crate) async fn end(mut self) {
        self.browser.close().await.unwrap();
        let mut process = self.process;
        spawn_blocking(move || process.0.wait()).await.unwrap().unwrap();
        self.tasks.iter().for_each(JoinHandle::abort);
        drop(self.home);
    }
}

/// Does something in the network of a process. A socket stays in the one that it was made in.
fn inside<T: Send>(pid: u32, work: impl FnOnce() -> T + Send) -> T {
    let network = File::open(format!("/proc/{pid}/ns/net")).unwrap();
    let enter = || move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    // A thread of its own: the others stay where they are.
    let done = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter();
            work()
        });
        thread.join()
    });
    done.unwrap()
}

fn here(stream: std::net::TcpStream) -> TcpStream {
    stream.set_nonblocking(true).unwrap();
    TcpStream::from_std(stream).unwrap()
}

/// Where Debian has it.
fn program() -> PathBuf {
    let program = std::env::var_os("ACTORD_TEST_CHROMIUM").unwrap_or_else(|| "/usr/bin/chromium".into());
    let program = PathBuf::from(program);
    assert!(program.exists(), "{} is not there: config/setup --test installs it", program.display());
    program
}
