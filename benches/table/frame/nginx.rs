//! Debian's nginx as a proxy beside ours, in the foreground and in a directory of its own. Bodies go through as they come, as
//! with us: by its defaults it would write a request's to a file first.

#![allow(clippy::disallowed_methods, reason = "real processes take real time")]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// As many as actord has on the machine that the issue names.
const WORKERS: usize = 2;

/// The program that `config/setup --bench` unpacks, or else the installed one.
fn program() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(target, PathBuf::from);
    let known = [target.join("tools/usr/sbin/nginx"), "/usr/sbin/nginx".into(), "/usr/bin/nginx".into()];
    known.into_iter().find(|path| path.exists())
}

/// Starts it in front of `backend` and waits until it listens: its process, where that is, and what has to stay as long as it
/// runs. None where there is no nginx.
pub(crate) fn start(backend: SocketAddr) -> Option<(Child, SocketAddr, tempfile::TempDir)> {
    let program = program()?;
    let directory = tempfile::Builder::new().prefix("actord-nginx-").tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let at = directory.path().display();
    let config = format!(
        "daemon off; worker_processes {WORKERS}; pid {at}/pid; error_log {at}/error.log; user root;
         events {{ worker_connections 4096; }}
         http {{
           access_log off; client_max_body_size 0; keepalive_requests 1000000000;
           client_body_temp_path {at}/a; proxy_temp_path {at}/b; fastcgi_temp_path {at}/c;
           uwsgi_temp_path {at}/d; scgi_temp_path {at}/e;
           upstream function {{ server {backend}; keepalive 256; keepalive_requests 1000000000; }}
           server {{
             listen {address};
             location ~ ^/function/[^/]+(/.*)$ {{
               proxy_pass http://function$1$is_args$args; proxy_http_version 1.1;
               proxy_set_header Connection \"\"; proxy_request_buffering off; proxy_max_temp_file_size 0;
             }}
           }}
         }}"
    );
    std::fs::write(directory.path().join("config"), config).unwrap();
    let mut command = Command::new(program);
    command.arg("-p").arg(directory.path()).arg("-c").arg(directory.path().join("config"));
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    for _ in 0..500 {
        if TcpStream::connect(address).is_ok() {
            return Some((child, address, directory));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    end(&mut child);
    panic!("nginx does not listen");
}

/// Ends it in order: it ends its workers then.
pub(crate) fn end(nginx: &mut Child) {
    if kill_process(Pid::from_child(nginx), Signal::TERM).is_ok() {
        let _ = nginx.wait();
    }
}
