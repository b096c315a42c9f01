//! What one actord has goes to another in one file.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use crate::actord::{Actord, HELLO_1, HELLO_2};

impl Actord {
    fn bundle(&self) -> PathBuf {
        self.directory().join("shop.tar")
    }

    /// Makes a bundle of two functions and their images.
    fn create_bundle(&self) -> Output {
        let stacks = self.directory().join("stacks");
        fs::create_dir_all(stacks.join("env")).unwrap();
        fs::write(stacks.join("env/one.yml"), "environment: {FROM: the bundle}\n").unwrap();
        let stack = format!(
            "provider: {{name: openfaas, gateway: 'http://192.0.2.1:8080'}}\nfunctions:\n  one: {{image: {HELLO_1}, \
             environment_file: [env/one.yml]}}\n  two: {{image: '${{NONE:-{HELLO_2}}}'}}\n"
        );
        fs::write(stacks.join("shop.yml"), stack).unwrap();
        let [bundle, stacks, work] =
            [self.bundle(), stacks, self.directory().to_owned()].map(|path| path.display().to_string());
        self.run(&[
            "bundle",
            "create",
            &bundle,
            "--stack",
            &stacks,
            "--images",
            "--functions-only",
            "--work-dir",
            &work,
        ])
    }

    /// Applies a bundle to this one.
    fn apply_bundle(&self, bundle: &str) -> Output {
        let [data, work] = [self.data(), self.directory().to_owned()].map(|path| path.display().to_string());
        let gateway = format!("http://{}", self.public);
        let flags = ["--work-dir", &work, "--data-dir", &data, "--config", "/dev/null", "--gateway", &gateway];
        self.plain(&[["bundle", "apply", bundle].as_slice(), &flags].concat())
    }

    /// What lies in its own directory.
    fn lies_there(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_of_one_actord_makes_its_functions_answer_on_another_which_had_nothing() {
    let here = Actord::start().await;
    let there = Actord::with(&[], |_| {}).await;
    let created = here.create_bundle();
    assert!(created.status.success(), "{}", words(&created));
    let bundle = here.bundle().display().to_string();
    let printed = String::from_utf8(created.stdout).unwrap();
    assert!(printed.ends_with(&format!("  {bundle}\n")) && printed.find(' ') == Some(64), "{printed}");
    let bytes = fs::read(&bundle).unwrap();
    assert_eq!(here.create_bundle().stdout, printed.as_bytes(), "the same bytes");

    let applied = there.apply_bundle(&bundle);
    assert!(applied.status.success(), "{}", words(&applied));
    assert_eq!(there.get("/function/one/version").await.text(), "1\n");
    assert_eq!(there.get("/function/two/version").await.text(), "2\n");
    assert_eq!(there.describe("one").await["envVars"]["FROM"], "the bundle");

    // Applied again it changes nothing.
    let processes = (there.process("one"), there.process("two"));
    let again = there.apply_bundle(&bundle);
    assert!(again.status.success(), "{}", words(&again));
    assert_eq!((there.process("one"), there.process("two")), processes);
    let told = String::from_utf8_lossy(&again.stdout).into_owned();
    assert_eq!(told.matches("unchanged").count(), 2, "{told}");

    // One that was damaged on the way is told by its exit code, and nothing is changed or left.
    there.delete("two").await;
    let lies_there = there.lies_there();
    let damaged = there.directory().join("stacks.tar");
    for (change, words_of_it) in [
        ((|bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2)) as fn(&mut Vec<u8>), "cut short"),
        (
            |bytes| {
                let at = bytes.len() / 2;
                bytes[at] ^= 1;
            },
            "copy it again",
        ),
    ] {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        fs::write(&damaged, bytes).unwrap();
        let refused = there.apply_bundle(&damaged.display().to_string());
        assert_eq!(refused.status.code(), Some(2), "{}", words(&refused));
        assert!(
            words(&refused).contains(words_of_it) && words(&refused).contains("nothing was changed"),
            "{}",
            words(&refused)
        );
        fs::remove_file(&damaged).unwrap();
    }
    assert_eq!(there.lies_there(), lies_there);
    assert_eq!(there.list().await.len(), 1);
    here.finish().await;
    there.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_is_not_made_without_an_image_and_names_it() {
    let here = Actord::with(&[], |_| {}).await;
    let refused = here.create_bundle();
    assert!(!refused.status.success());
    assert!(
        words(&refused).contains(HELLO_1) && words(&refused).contains("not on this machine"),
        "{}",
        words(&refused)
    );
    assert!(!here.bundle().exists());
    assert!(!here.lies_there().iter().any(|name| name.starts_with("actord-bundle-")), "{:?}", here.lies_there());
    here.finish().await;
}
