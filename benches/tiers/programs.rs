//! The functions that are measured: the sample, and the least HTTP server of two interpreters that are on this machine,
//! packed with the files that they need from it; and one that imports and keeps more, as a model or a cache would.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use actord::archive::{Package, PackedFile};

use crate::sample::Sample;

const PYTHON: &str = r#"
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer

class Hello(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"hello\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

ThreadingTCPServer(("0.0.0.0", 8080), Hello).serve_forever()
"#;

const LARGE: &str = r#"
import asyncio, csv, decimal, email.mime.text, json, logging.config, multiprocessing, unittest.mock, xml.dom.minidom

table = {number: {"name": str(number), "value": number * 1.5} for number in range(100_000)}
"#;

const NODE: &str = r#"require("http").createServer((_, answer) => answer.end("hello\n")).listen(8080);"#;

/// Parts of Python's library that no function of this kind has in its image.
const NOT_PACKED: [&str; 9] = [
    "__pycache__",
    "dist-packages",
    "site-packages",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "test",
    "tkinter",
    "turtledemo",
];

/// A function that can be measured.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) package: Package,
}

/// Those that this machine can show. What is missing is told.
pub(crate) fn all() -> Vec<Program> {
    let sample = Sample::new("docker.io/bench/static:1").env("QUIET", "1").package();
    let mut programs = vec![Program { name: "static", package: sample }];
    match python() {
        Some(small_and_large) => programs.extend(small_and_large),
        None => println!("  (python is left out: this machine has no /usr/bin/python3)"),
    }
    match node() {
        Some(package) => programs.push(Program { name: "node", package }),
        None => println!("  (node is left out: this machine has no /usr/bin/node)"),
    }
    programs
}

fn python() -> Option<[Program; 2]> {
    let program = fs::canonicalize("/usr/bin/python3").ok()?;
    let library = answer(&program, &["-I", "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"]);
    let library = Path::new(library.trim());
    // Compiled as a careful image has it: Python must not look at times that an image does not keep.
    let copy = tempfile::tempdir().unwrap();
    let compiled = copy.path().join("library");
    copy_library(library, &compiled);
    answer(&program, &["-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", compiled.to_str().unwrap()]);
    let mut files = with_libraries(&program);
    pack_tree(&compiled, library, &mut files);
    let small = package("docker.io/bench/python:1", &program, files.clone(), "/app.py", PYTHON);
    let large = package("docker.io/bench/large:1", &program, files, "/app.py", &format!("{LARGE}{PYTHON}"));
    Some([Program { name: "python", package: small }, Program { name: "large", package: large }])
}

fn node() -> Option<Package> {
    let program = fs::canonicalize("/usr/bin/node").ok()?;
    let files = with_libraries(&program);
    Some(package("docker.io/bench/node:1", &program, files, "/app.js", NODE))
}

fn package(reference: &str, program: &Path, mut files: Vec<PackedFile>, path: &str, text: &str) -> Package {
    files.push(PackedFile { path: path.to_owned(), mode: 0o644, uid: 0, gid: 0, bytes: text.into() });
    Package {
        reference: reference.to_owned(),
        files,
        entrypoint: vec![program.to_str().unwrap().to_owned(), path.to_owned()],
        ..Package::default()
    }
}

/// A program and the shared libraries that the loader finds for it.
fn with_libraries(program: &Path) -> Vec<PackedFile> {
    let listed = answer(Path::new("ldd"), &[program.to_str().unwrap()]);
    let paths: BTreeSet<&str> = listed.split_whitespace().filter(|word| word.starts_with('/')).collect();
    let libraries = paths.into_iter().map(|path| file(Path::new(path), Path::new(path)));
    std::iter::once(file(program, program)).chain(libraries).collect()
}

fn file(from: &Path, to: &Path) -> PackedFile {
    let mode = fs::metadata(from).unwrap().permissions().mode() & 0o777;
    let bytes = fs::read(from).unwrap();
    PackedFile { path: to.to_str().unwrap().to_owned(), mode, uid: 0, gid: 0, bytes }
}

fn copy_library(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for path in entries(from) {
        let name = path.file_name().unwrap();
        if path.is_dir() {
            // `config-3.11-x86_64-linux-gnu` is for those who build Python into another program.
            if !NOT_PACKED.iter().any(|other| name == OsStr::new(other))
                && !name.to_str().unwrap().starts_with("config-")
            {
                copy_library(&path, &to.join(name));
            }
        } else if path.is_file() {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

fn pack_tree(from: &Path, to: &Path, files: &mut Vec<PackedFile>) {
    for path in entries(from) {
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() { pack_tree(&path, &to, files) } else { files.push(file(&path, &to)) }
    }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn answer(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}: {}", program.display(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
