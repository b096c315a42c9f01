//! A registry on loopback that serves what it was given, over plain HTTP: enough of the distribution API for a pull.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Content and its media type, by `<repository>/manifests/<tag or digest>` or `<repository>/blobs/<digest>`.
type Shelf = Arc<Mutex<BTreeMap<String, (String, Vec<u8>)>>>;

pub struct Registry {
    pub address: SocketAddr,
    shelf: Shelf,
}

impl Registry {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let registry = Self { address: listener.local_addr().unwrap(), shelf: Shelf::default() };
        let shelf = registry.shelf.clone();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shelf = shelf.clone();
                std::thread::spawn(move || answer(&stream, &shelf));
            }
        });
        registry
    }

    /// Puts the image of an OCI archive under a tag, in place of what the tag meant before.
    pub fn push(&self, repository: &str, tag: &str, archive: &[u8]) {
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(archive).entries().unwrap() {
            let mut entry = entry.unwrap();
            let (path, mut bytes) = (entry.path().unwrap().display().to_string(), Vec::new());
            entry.read_to_end(&mut bytes).unwrap();
            files.insert(path, bytes);
        }
        let index: serde_json::Value = serde_json::from_slice(&files["index.json"]).unwrap();
        let manifest = &index["manifests"][0];
        let (digest, kind) = (manifest["digest"].as_str().unwrap(), manifest["mediaType"].as_str().unwrap());
        let mut shelf = self.shelf.lock().unwrap();
        let content = files[&format!("blobs/{}", digest.replace(':', "/"))].clone();
        for reference in [tag, digest] {
            shelf.insert(format!("{repository}/manifests/{reference}"), (kind.to_owned(), content.clone()));
        }
        for (path, bytes) in files {
            if let Some(hash) = path.strip_prefix("blobs/sha256/") {
                let kind = "application/octet-stream".to_owned();
                shelf.insert(format!("{repository}/blobs/sha256:{hash}"), (kind, bytes));
            }
        }
    }
}

/// Answers one request and closes the connection.
fn answer(stream: &TcpStream, shelf: &Shelf) {
    let mut lines = BufReader::new(stream).lines();
    let Some(Ok(request)) = lines.next() else { return };
    for line in lines {
        if line.is_ok_and(|line| line.is_empty()) {
            break;
        }
    }
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let key = path.trim_start_matches("/v2/");
    let found = shelf.lock().unwrap().get(key).cloned();
    let (status, kind, bytes) = match found {
        _ if key.is_empty() => ("200 OK", "application/json".to_owned(), b"{}".to_vec()),
        Some((kind, bytes)) => ("200 OK", kind, bytes),
        None => {
            let error = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{}}]}"#;
            ("404 Not Found", "application/json".to_owned(), error.to_vec())
        }
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nDocker-Distribution-Api-Version: registry/2.0\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        bytes.len()
    );
    let mut stream = stream;
    let _ = stream.write_all(head.as_bytes());
    if method != "HEAD" {
        let _ = stream.write_all(&bytes);
    }
}
