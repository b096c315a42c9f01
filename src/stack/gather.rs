//! Stack files for another machine: each with its variables filled in, and the files of variables that they name.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::function::Function;
use super::read::{read_stack, stack_files, text as text_of, wrong, yaml};
use super::substitute::{Variables, substitute};
use super::yaml::StackFile;
use super::{StackError, StackFiles};
use crate::function::{FunctionId, Spec};

/// Stack files, as another machine reads them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gathered {
    /// Their texts, and those of the files that they name, by their paths below the directory that they lie in.
    pub files: BTreeMap<PathBuf, String>,
    /// The functions that they ask for.
    pub functions: BTreeMap<FunctionId, Spec>,
}

/// Reads the stack files of a directory, or one stack file, so that they mean the same wherever they are read.
///
/// # Errors
/// As [`read_stack_files`](super::read_stack_files), and of a file of variables that does not lie below the directory.
pub fn gather(path: &Path, variables: Variables<'_>) -> Result<Gathered, StackError> {
    let stacks = if path.is_dir() { stack_files(path)? } else { vec![path.to_owned()] };
    let mut gathered = Gathered::default();
    let mut from: BTreeMap<FunctionId, PathBuf> = BTreeMap::new();
    for stack in stacks {
        let text = substitute(&text_of(&stack)?, variables).map_err(|reason| wrong(&stack, reason))?;
        let StackFiles { functions, .. } = read_stack(&stack, &text, &|_, draft| draft.try_into())?;
        for (id, spec) in functions {
            if let Some(other) = from.insert(id.clone(), stack.clone()) {
                return Err(wrong(&stack, format!("functions.{}: {} has it as well", id.name, other.display())));
            }
            gathered.functions.insert(id, spec);
        }
        for name in environment_files(&stack, &text)? {
            gathered.files.insert(name.clone(), text_of(&stack.with_file_name(name))?);
        }
        let name = stack.file_name().map(PathBuf::from).unwrap_or_default();
        gathered.files.insert(name, for_another_machine(&text));
    }
    Ok(gathered)
}

/// What was filled in is not filled in again: a `${` that is left is one of the text.
fn for_another_machine(filled: &str) -> String {
    filled.replace("${", "$${")
}

/// The files of variables that a stack file names, each inside of its directory.
fn environment_files(stack: &Path, text: &str) -> Result<Vec<PathBuf>, StackError> {
    let mut files = Vec::new();
    for (function, draft) in yaml::<StackFile<Function>>(stack, text)?.functions.unwrap_or_default() {
        for name in draft.environment_file {
            let file = PathBuf::from(&name);
            if !file.components().all(|part| matches!(part, Component::Normal(_))) {
                return Err(wrong(
                    stack,
                    format!(
                        "functions.{function}: environment_file {name} does not lie below {}: put it there, so that it can \
                         be taken along",
                        stack.parent().unwrap_or(Path::new("")).display()
                    ),
                ));
            }
            files.push(file);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::stack::read_stack_files;

    fn variables(name: &str) -> Option<String> {
        match name {
            "TAG" => Some("1.2".to_owned()),
            "ODD" => Some("$${A} ${B} $$${C} $".to_owned()),
            _ => None,
        }
    }

    fn put(dir: &Path, gathered: &Gathered) {
        for (name, text) in &gathered.files {
            fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
            fs::write(dir.join(name), text).unwrap();
        }
    }

    #[test]
    fn what_is_gathered_asks_for_the_same_on_a_machine_without_the_variables() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(here.path().join("env")).unwrap();
        fs::write(here.path().join("env/db.yml"), "environment: {HOST: db, RAW: '${TAG}'}\n").unwrap();
        let text = "functions:\n  hello:\n    image: me/hello:${TAG}\n    environment_file: [env/db.yml]\n    environment:\n      \
                    ODD: '${ODD}'\n      LATER: '$${TAG}'\n";
        fs::write(here.path().join("shop.yml"), text).unwrap();
        fs::write(here.path().join("notes.txt"), "not a stack").unwrap();
        let gathered = gather(here.path(), &variables).unwrap();
        let names: Vec<_> = gathered.files.keys().map(|name| name.to_str().unwrap()).collect();
        assert_eq!(names, ["env/db.yml", "shop.yml"]);
        put(there.path(), &gathered);
        let asked =
            |dir: &Path, variables: Variables<'_>| read_stack_files(&[dir.to_owned()], variables).unwrap().functions;
        let expected = asked(here.path(), &variables);
        assert_eq!(gathered.functions, expected);
        assert_eq!(asked(there.path(), &|_| None), expected);
        assert_eq!(expected.values().next().unwrap().env_vars["ODD"], variables("ODD").unwrap());
    }

    #[test]
    fn a_file_of_variables_from_elsewhere_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("db.yml"), "environment: {}\n").unwrap();
        for name in ["../db.yml", "/etc/db.yml", "./a/../../db.yml"] {
            fs::create_dir_all(dir.path().join("stacks/a")).unwrap();
            let stack = dir.path().join("stacks/stack.yml");
            fs::write(&stack, format!("functions: {{a: {{image: a, environment_file: [\"{name}\"]}}}}\n")).unwrap();
            let refused = gather(&stack, &|_| None).unwrap_err().to_string();
            assert!(refused.contains(name), "{refused}");
        }
    }
}
