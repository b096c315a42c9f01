//! The page's files: what lies in `page/` is a part of the program, under one hash of all of it.
//!
//! ```text
//! page/*.js, *.css, keys.json -> hash -> /HASH/NAME, plain or packed, kept for ever     index.html, which names them: asked for anew
//! ```
//! The hash is in the path, so that modules import each other by the names that they have in the folder, and files of two
//! versions are never mixed. It is taken when the first of them is asked for.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::LazyLock;

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

use super::keys;

/// What names the others.
const INDEX: &[u8] = include_bytes!("page/index.html");
/// What stands for the hash in it.
const HASH: &str = "%HASH%";
/// So many hex digits of it will do: it tells versions of one program apart.
const DIGITS: usize = 12;

/// The names of files in `page/`, with what is in them.
macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("page/", $name)))),*]
    };
}

/// All but the index.
const FILES: &[(&str, &[u8])] = files!(
    "api.js",
    "chart.js",
    "dialog.js",
    "dom.js",
    "format.js",
    "function-frame.js",
    "icon.svg",
    "kept.js",
    "link.js",
    "main.js",
    "notices.js",
    "page-calls.js",
    "page-deploy.js",
    "page-function.js",
    "page-functions.js",
    "page-invoke.js",
    "page-logs.js",
    "page-machine.js",
    "page-schedules.js",
    "page-secrets.js",
    "page-signin.js",
    "pairs.js",
    "phase.js",
    "router.js",
    "session.js",
    "store.js",
    "stream.js",
    "style.css",
    "table.js",
    "tasks.js",
);

/// One file.
pub(super) struct File {
    kind: &'static str,
    plain: Bytes,
    /// By gzip; none where that makes it no smaller.
    packed: Option<Bytes>,
}

/// All of them.
pub(super) struct Page {
    /// Of all that is in it.
    pub(super) hash: String,
    pub(super) index: File,
    files: HashMap<&'static str, File>,
}

/// The page of this program.
pub(super) fn page() -> &'static Page {
    static PAGE: LazyLock<Page> = LazyLock::new(Page::new);
    &PAGE
}

impl Page {
    fn new() -> Self {
        let keys = ("keys.json", Bytes::from(keys::json()));
        let files = FILES.iter().map(|(name, content)| (*name, Bytes::from_static(content)));
        let files: Vec<(&'static str, Bytes)> = files.chain([keys]).collect();
        let hash = hash(files.iter().map(|(name, content)| (*name, &**content)).chain([("index.html", INDEX)]));
        let index = String::from_utf8_lossy(INDEX).replace(HASH, &hash);
        Self {
            hash,
            index: File::new("index.html", index.into()),
            files: files.into_iter().map(|(name, content)| (name, File::new(name, content))).collect(),
        }
    }

    /// The file of this name.
    pub(super) fn file(&self, name: &str) -> Option<&File> {
        self.files.get(name)
    }
}

/// The beginning of a digest of names and contents, none of which can be taken for a part of another.
fn hash<'a>(files: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut digest = Sha256::new();
    for (name, content) in files {
        for part in [name.as_bytes(), content] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
    }
    let digits: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    digits[..DIGITS].to_owned()
}

impl File {
    fn new(name: &str, plain: Bytes) -> Self {
        let packed = packed(&plain).filter(|packed| packed.len() < plain.len());
        Self { kind: kind(name), packed, plain }
    }

    /// The answer to who asks for it.
    pub(super) fn answer(&self, request: &HttpRequest) -> HttpResponse {
        let mut answer = HttpResponse::Ok();
        answer.content_type(self.kind).insert_header((header::VARY, "Accept-Encoding"));
        match &self.packed {
            Some(packed) if takes_gzip(request.headers()) => {
                answer.insert_header((header::CONTENT_ENCODING, "gzip")).body(packed.clone())
            }
            _ => answer.body(self.plain.clone()),
        }
    }
}

/// What a browser takes a file for: it looks at nothing else.
fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, end)| end) {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" => "application/json",
        _ => "application/octet-stream",
    }
}

fn packed(plain: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Memory takes every byte.
    encoder.write_all(plain).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

/// Whether a client takes gzip: by name, and not with a weight of nothing.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let said = headers.get_all(header::ACCEPT_ENCODING).filter_map(|line| line.to_str().ok());
    said.flat_map(|line| line.split(',')).any(|one| {
        let (coding, weight) = one.split_once(';').unwrap_or((one, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        coding.trim().eq_ignore_ascii_case("gzip") && weight.is_some_and(|weight| weight > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Read as _;
    use std::path::Path;

    use actix_web::HttpMessage as _;
    use actix_web::test::TestRequest;
    use flate2::read::GzDecoder;

    use super::*;

    /// The most that all of it may have, in bytes: it is on the way to a phone.
    const MOST: usize = 150_000;

    fn all() -> Vec<(&'static str, String)> {
        let files = FILES.iter().chain([&("index.html", INDEX)]);
        files.map(|(name, content)| (*name, String::from_utf8(content.to_vec()).unwrap())).collect()
    }

    #[test]
    fn every_file_of_the_folder_is_a_part_of_the_program_and_they_are_small_together() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/dashboard/page");
        let there: BTreeSet<String> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let known: BTreeSet<String> = all().into_iter().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(known, there);
        let size: usize = all().iter().map(|(_, content)| content.len()).sum();
        assert!(size <= MOST, "{size} bytes, of {MOST} at most");
    }

    #[test]
    fn the_page_loads_nothing_from_elsewhere_and_runs_nothing_that_stands_in_it() {
        for (name, content) in all() {
            for begin in ["http://", "https://", "\"//", "'//"] {
                for (at, _) in content.match_indices(begin) {
                    // This is what a browser calls a kind of element: it is fetched by nobody.
                    assert!(content[at..].starts_with("http://www.w3.org/"), "{name}: {begin} at {at}");
                }
            }
            for banned in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "onclick="]
            {
                assert!(!content.contains(banned), "{name} has {banned}");
            }
        }
        let index = String::from_utf8(page().index.plain.to_vec()).unwrap();
        assert!(!index.contains(HASH) && !index.contains("style=") && !index.contains("<style"));
        for script in index.split("<script").skip(1) {
            assert!(script.starts_with(" type=\"module\" src=\"/") && script.contains("></script>"), "{script}");
        }
    }

    #[test]
    fn what_the_files_name_is_there() {
        for (name, content) in all() {
            let imports = content.split(" from '").skip(1).chain(content.split("import '").skip(1));
            for imported in imports.filter_map(|rest| rest.split('\'').next()).filter(|text| text.starts_with('.')) {
                let file = imported.strip_prefix("./").unwrap_or_else(|| panic!("{name} imports {imported}"));
                assert!(page().file(file).is_some(), "{name} imports {imported}");
            }
        }
        let index = String::from_utf8(page().index.plain.to_vec()).unwrap();
        let named: Vec<_> =
            index.split(&format!("/{}/", page().hash)).skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert!(named.len() > 1 && named.iter().all(|name| page().file(name).is_some()), "{named:?}");
    }

    #[test]
    fn who_takes_gzip_gets_the_same_in_fewer_bytes() {
        for (said, taken) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("br", false),
            ("gzip;q=0", false),
            ("gzip;q=x", false),
            ("*", false),
            ("", false),
        ] {
            let request = TestRequest::get().insert_header(("Accept-Encoding", said)).to_request();
            assert_eq!(takes_gzip(request.headers()), taken, "{said}");
        }
        for file in page().files.values().chain([&page().index]) {
            let Some(packed) = &file.packed else { continue };
            let mut plain = Vec::new();
            GzDecoder::new(&packed[..]).read_to_end(&mut plain).unwrap();
            assert_eq!(plain, file.plain);
        }
    }

    #[test]
    fn another_name_or_content_is_another_hash() {
        let of = |files: &[(&str, &str)]| hash(files.iter().map(|(name, content)| (*name, content.as_bytes())));
        let one = of(&[("a", "bc"), ("d", "")]);
        assert_eq!((one.len(), &one), (DIGITS, &of(&[("a", "bc"), ("d", "")])));
        for other in
            [&[("ab", "c"), ("d", "")][..], &[("a", "bc")], &[("a", "bcd"), ("", "")], &[("a", "bd"), ("d", "")]]
        {
            assert_ne!(of(other), one);
        }
    }
}
