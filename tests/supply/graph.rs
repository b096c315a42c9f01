//! The crates of Cargo.lock as cargo resolves them for a target.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// A crate and its version.
pub(crate) type Id = (String, String);

/// One crate.
#[derive(Debug)]
pub(crate) struct Crate {
    pub(crate) license: Option<String>,
    /// Where it comes from; none for what is in this repository.
    pub(crate) source: Option<String>,
    pub(crate) is_macro: bool,
    /// The versions of others that its own file asks for, as they are written.
    pub(crate) asked: Vec<(String, String)>,
    needs: Vec<Need>,
}

/// What a crate needs of another one.
#[derive(Debug)]
struct Need {
    id: Id,
    /// Whether it is needed to run, not to build or to test alone.
    to_run: bool,
}

/// All crates that are needed to build, test and run on a target.
#[derive(Debug)]
pub(crate) struct Graph(pub(crate) BTreeMap<Id, Crate>);

impl Graph {
    pub(crate) fn of(target: &str) -> Self {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        cargo.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", target]);
        let output = cargo.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self::read(&serde_json::from_slice(&output.stdout).unwrap())
    }

    fn read(metadata: &Value) -> Self {
        let packages: BTreeMap<&str, &Value> =
            list(&metadata["packages"]).map(|package| (package["id"].as_str().unwrap(), package)).collect();
        let id = |package: &Value| (text(&package["name"]), text(&package["version"]));
        let nodes = list(&metadata["resolve"]["nodes"]);
        let crates = nodes.map(|node| {
            let package = packages[node["id"].as_str().unwrap()];
            let optional = |name: &str| {
                let mut asked = list(&package["dependencies"]).filter(|asked| asked["name"] == name).peekable();
                asked.peek().is_some() && asked.all(|asked| asked["optional"] == true)
            };
            let on =
                |name: &str| !optional(name) || list(&node["features"]).any(|feature| turns_on(package, feature, name));
            let needs = list(&node["deps"]).map(|dep| (packages[dep["pkg"].as_str().unwrap()], dep));
            let needs = needs.filter(|(needed, _)| on(needed["name"].as_str().unwrap())).map(|(needed, dep)| Need {
                id: id(needed),
                to_run: list(&dep["dep_kinds"]).any(|kind| kind["kind"].is_null()),
            });
            let known = Crate {
                license: package["license"].as_str().map(str::to_owned),
                source: package["source"].as_str().map(str::to_owned),
                is_macro: list(&package["targets"])
                    .any(|target| list(&target["kind"]).any(|kind| kind == "proc-macro")),
                asked: list(&package["dependencies"])
                    .filter(|asked| asked["path"].is_null())
                    .map(|asked| (text(&asked["name"]), text(&asked["req"])))
                    .collect(),
                needs: needs.collect(),
            };
            (id(package), known)
        });
        let mut graph = Self(crates.collect());
        // cargo lists crates that only a feature would need which nothing turns on.
        let needed = graph.tree(&program());
        graph.0.retain(|id, _| needed.contains(id));
        graph
    }

    /// A crate with all that it stands on.
    pub(crate) fn tree(&self, root: &Id) -> BTreeSet<Id> {
        self.reached(root, |_| true)
    }

    /// What becomes a part of the program, itself included.
    pub(crate) fn linked(&self) -> BTreeSet<Id> {
        self.reached(&program(), |need| need.to_run && !self.0[&need.id].is_macro)
    }

    fn reached(&self, root: &Id, follows: impl Fn(&Need) -> bool) -> BTreeSet<Id> {
        let (mut found, mut next) = (BTreeSet::new(), vec![root]);
        while let Some(id) = next.pop() {
            if found.insert(id.clone()) {
                next.extend(self.0[id].needs.iter().filter(|need| follows(need)).map(|need| &need.id));
            }
        }
        found
    }
}

fn program() -> Id {
    (env!("CARGO_PKG_NAME").to_owned(), env!("CARGO_PKG_VERSION").to_owned())
}

/// Whether a feature of a package turns on its optional need of `name`. One that only adds to it (`name?/…`) does not: cargo
/// lists those needs too.
fn turns_on(package: &Value, feature: &Value, name: &str) -> bool {
    let renamed = list(&package["dependencies"]).find(|asked| asked["name"] == name);
    let name = renamed.and_then(|asked| asked["rename"].as_str()).unwrap_or(name);
    let by = |text: &str| {
        let plain = text.strip_prefix("dep:").unwrap_or(text);
        plain == name || plain.split_once('/').is_some_and(|(first, _)| first == name)
    };
    feature.as_str().is_some_and(by)
        || list(&package["features"][feature.as_str().unwrap()]).any(|entry| entry.as_str().is_some_and(by))
}

pub(crate) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
