//! The copying, with real pipes and files.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use super::*;

struct Place {
    directory: tempfile::TempDir,
    logs: Logs,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), logs: Logs::start().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn open(&self, stdout: &str, stderr: &str) -> Streams {
        Streams::open(&self.logs, "", stdout, stderr).unwrap()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }
}

async fn caught_up(streams: &Streams) {
    for copy in &streams.copies {
        copy.caught_up().await;
    }
}

fn file(descriptor: &OwnedFd) -> File {
    File::from(descriptor.try_clone().unwrap())
}

#[tokio::test]
async fn what_is_written_to_two_names_of_one_file_is_in_it_in_order() {
    let place = Place::new();
    fs::write(place.path("log"), "before\n").unwrap();
    let streams = place.open(&place.text("log"), &place.text("./log"));
    assert_eq!(streams.copies.len(), 1, "one pipe");
    let mut expected = "before\n".to_owned();
    for number in 0..1_000 {
        let stream = if number % 3 == 0 { &streams.stderr } else { &streams.stdout };
        writeln!(file(stream), "line {number}").unwrap();
        expected += &format!("line {number}\n");
    }
    caught_up(&streams).await;
    assert_eq!(place.read("log"), expected);
}

#[tokio::test]
async fn two_files_have_a_pipe_each_and_no_name_is_nowhere() {
    let place = Place::new();
    let streams = place.open(&place.text("new/out"), &format!("file://{}", place.text("err")));
    writeln!(file(&streams.stdout), "out").unwrap();
    writeln!(file(&streams.stderr), "err").unwrap();
    caught_up(&streams).await;
    assert_eq!((place.read("new/out"), place.read("err")), ("out\n".to_owned(), "err\n".to_owned()));
    let nowhere = place.open("", "");
    writeln!(file(&nowhere.stdout), "into nothing").unwrap();
    assert_eq!(file(&nowhere.stdin).read(&mut [0; 8]).unwrap(), 0);
    assert!(nowhere.copies.is_empty());
}

#[tokio::test]
async fn more_than_a_pipe_holds_is_copied_while_it_is_written() {
    let place = Place::new();
    let streams = place.open(&place.text("log"), "");
    let mut pipe = file(&streams.stdout);
    let bytes = vec![b'x'; 3 << 20];
    let written = tokio::task::spawn_blocking(move || pipe.write_all(&bytes));
    written.await.unwrap().unwrap();
    caught_up(&streams).await;
    assert_eq!(fs::metadata(place.path("log")).unwrap().len(), 3 << 20);
}

#[tokio::test]
async fn a_pipe_that_others_hold_open_does_not_keep_from_catching_up() {
    let place = Place::new();
    let Streams { stdout, copies, .. } = place.open(&place.text("log"), "");
    let outlives = file(&stdout);
    writeln!(file(&stdout), "last words").unwrap();
    drop(stdout);
    copies[0].caught_up().await;
    assert_eq!(place.read("log"), "last words\n");
    writeln!(&outlives, "later").unwrap();
    copies[0].caught_up().await;
    assert_eq!(place.read("log"), "last words\nlater\n");
    drop(copies);
    // The thread has closed its end by the time that it answers another order.
    place.open(&place.text("other"), "").copies[0].caught_up().await;
    assert_eq!(writeln!(&outlives, "after its end").unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn a_writer_is_not_stopped_by_a_full_disk() {
    let place = Place::new();
    let streams = place.open("/dev/full", &place.text("log"));
    let mut pipe = file(&streams.stdout);
    let written = tokio::task::spawn_blocking(move || pipe.write_all(&vec![b'x'; 1 << 20]));
    written.await.unwrap().unwrap();
    writeln!(file(&streams.stderr), "another log").unwrap();
    caught_up(&streams).await;
    assert_eq!(place.read("log"), "another log\n");
}

#[tokio::test]
async fn a_fifo_without_a_reader_stops_neither_a_create_nor_a_writer() {
    let place = Place::new();
    for fifo in ["out", "in"] {
        rustix::fs::mknodat(
            rustix::fs::CWD,
            place.path(fifo),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
    }
    let streams = Streams::open(&place.logs, &place.text("in"), &place.text("out"), "").unwrap();
    let mut pipe = file(&streams.stdout);
    let written = tokio::task::spawn_blocking(move || pipe.write_all(&vec![b'x'; 1 << 20]));
    written.await.unwrap().unwrap();
    caught_up(&streams).await;
    // A reader that comes late finds what the FIFO holds.
    let mut reader = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(place.path("out")).unwrap();
    assert!(reader.read(&mut [0; 4_096]).unwrap() > 0);
    // Standard input waits for a writer, and ends when nobody can be one.
    let mut stdin = file(&streams.stdin);
    let mut writer = fs::OpenOptions::new().write(true).open(place.path("in")).unwrap();
    writer.write_all(b"words").unwrap();
    drop(writer);
    let mut buffer = [0; 8];
    assert_eq!(stdin.read(&mut buffer).unwrap(), 5);
    drop(streams.input);
    assert_eq!(stdin.read(&mut buffer).unwrap(), 0);
}

#[test]
fn a_stream_that_is_no_file_is_refused_in_words() {
    let place = Place::new();
    let error = Streams::open(&place.logs, "", "binary:///usr/bin/logger", "").unwrap_err();
    assert!(error.to_string().contains("binary:// is not known here"), "{error}");
    let error = Streams::open(&place.logs, "", "", &place.text(".")).unwrap_err();
    assert!(error.to_string().starts_with("standard error can't be"), "{error}");
}
