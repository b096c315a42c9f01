//! What actord's children must not have: the sockets, and the variables that say where they are.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::manager::Manager;

/// Says, line by line, which variables and files a program was started with, then goes on as the original would.
fn spy(path: &Path, out: &Path, then: &str) {
    let script = format!(
        "#!/bin/sh\n{{ echo spy; tr '\\0' '\\n' < /proc/$$/environ; ls -l /proc/$$/fd; }} >> {} 2>&1\n{then}\n",
        out.display()
    );
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, script).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A registry that asks for credentials, whatever it is asked for. Returns its address.
async fn registry() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"test\"\r\nContent-Length: 0\r\n\
                          Connection: close\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_child_gets_the_sockets_or_the_service_managers_variables() {
    let mut manager = Manager::new();
    let directory = manager.actord.directory().to_owned();
    let (plugins, helpers) = (directory.join("plugins.seen"), directory.join("helpers.seen"));
    for plugin in ["bridge", "host-local"] {
        let own = directory.join("plugins").join(plugin);
        spy(&own, &plugins, &format!("PATH=/usr/lib/cni:/opt/cni/bin:$PATH; exec {plugin} \"$@\""));
    }
    spy(&directory.join("bin/docker-credential-spy"), &helpers, "cat >/dev/null; echo none; exit 1");
    let registry = registry().await;
    fs::write(directory.join("docker.json"), format!(r#"{{"credHelpers":{{"{registry}":"spy"}}}}"#)).unwrap();
    let at = |name: &str| directory.join(name).display().to_string();
    manager.actord.settings.extend([
        "--cni-plugin-dir".to_owned(),
        at("plugins"),
        "--cni-plugin-dir".to_owned(),
        "/usr/lib/cni".to_owned(),
        "--docker-config".to_owned(),
        at("docker.json"),
    ]);
    manager.start().await;
    manager.deploy("hello").await;
    let wrong = format!(r#"{{"service":"wrong","image":"{registry}/test/hello:1"}}"#);
    let refused = manager.actord.call("POST", "/system/functions", &wrong).await.unwrap();
    assert!(refused.status >= 400, "{}", refused.text());

    let mut seen = Vec::new();
    for (what, file, times) in [("plugins", &plugins, 2), ("credential helper", &helpers, 1)] {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("no {what} was run: {error}"));
        assert!(text.matches("spy\n").count() >= times, "{what}: {text}");
        seen.push((what.to_owned(), text));
    }
    let actord = i32::try_from(manager.actord.pid()).unwrap();
    let children = manager.actord.traces([].into()).processes();
    for kind in ["containerd", "containerd-shim", "/hello"] {
        assert!(children.iter().any(|(_, command)| command.contains(kind)), "{kind} is not in {children:?}");
    }
    for (pid, command) in children.into_iter().filter(|(pid, _)| *pid != actord) {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let links: Vec<String> =
            files.filter_map(|file| Some(fs::read_link(file.path()).ok()?.display().to_string())).collect();
        let text = String::from_utf8_lossy(&environment).replace('\0', "\n");
        seen.push((command, format!("{text}\n{}", links.join("\n"))));
    }
    for (who, text) in seen {
        for variable in ["NOTIFY_SOCKET=", "LISTEN_", "WATCHDOG_"] {
            assert!(!text.contains(variable), "{who} has {variable}: {text}");
        }
        for socket in manager.sockets() {
            assert!(!text.contains(&socket), "{who} has {socket}: {text}");
        }
    }
    // The check would find them: actord itself has them.
    let own = fs::read_dir(format!("/proc/{actord}/fd")).unwrap().map(|file| fs::read_link(file.unwrap().path()));
    let own: Vec<String> = own.map(|link| link.unwrap_or_default().display().to_string()).collect();
    assert!(manager.sockets().iter().all(|socket| own.contains(socket)), "{own:?}");
    manager.actord.finish().await;
}
