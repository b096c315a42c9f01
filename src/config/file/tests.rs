use std::io::Write;

use clap::CommandFactory;

use super::*;

/// The file that is shipped.
const SHIPPED: &str = include_str!("../../../config/actord.toml");

#[derive(Debug, Parser)]
struct Program {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Up(Box<Config>),
    Version,
}

fn run(arguments: &[&str], file: Option<&str>) -> Result<Config, String> {
    let mut on_disk = tempfile::NamedTempFile::new().unwrap();
    on_disk.write_all(file.unwrap_or_default().as_bytes()).unwrap();
    let path = on_disk.path().to_str().unwrap().to_owned();
    let all = ["actord", "up", "--config", &path].into_iter().chain(arguments.iter().copied()).map(OsString::from);
    match parse::<Program>(all).map_err(|error| error.to_string())?.verb {
        Verb::Up(config) => Ok(Config { config: super::super::CONFIG_FILE.into(), ..*config }),
        Verb::Version => panic!("another verb"),
    }
}

/// The shipped file with its settings uncommented, as (line without comment sign) text.
fn uncommented() -> String {
    let setting = |line: &str| {
        line.strip_prefix('#')
            .filter(|rest| {
                rest.split(" = ").next().is_some_and(|key| {
                    !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
                })
            })
            .map(str::to_owned)
    };
    SHIPPED.lines().map(|line| setting(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}

#[test]
fn a_flag_beats_the_file_and_the_file_beats_the_default() {
    let file = "listen = \"0.0.0.0:80\"\ndeploy-wait = 5\ndns = [\"9.9.9.9\", \"1.1.1.1\"]\n";
    let config = run(&["--deploy-wait", "7s"], Some(file)).unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:80");
    assert_eq!(config.deploy_wait.as_secs(), 7);
    assert_eq!(config.dns.len(), 2);
    assert_eq!(config.metrics_listen.to_string(), "127.0.0.1:8082");
    assert_eq!(run(&["--dns", "8.8.8.8"], Some(file)).unwrap().dns.len(), 1, "a list is replaced, not added to");
}

#[test]
fn an_unknown_setting_is_refused_with_its_name_and_line() {
    for (file, line) in [("lisen = 1", 1), ("\n# a comment\nlisen = 1\n", 3), ("dns = [\n]\nlisen = 1", 3)] {
        let error = run(&[], Some(file)).unwrap_err();
        assert!(error.contains(&format!(":{line}: unknown setting \"lisen\"")), "{error}");
    }
    assert!(run(&[], Some("config = \"/x\"")).unwrap_err().contains("unknown setting"), "a file names no other file");
    assert!(run(&[], Some("data_dir = \"/x\"")).unwrap_err().contains("unknown setting"), "one spelling is enough");
}

#[test]
fn a_wrong_value_is_refused_with_its_setting_and_line() {
    for (file, words) in [
        ("\ndeploy-wait = \"soon\"", [":2: deploy-wait: \"soon\"", "1m30s"]),
        ("parallel-pulls = 0", [":1: parallel-pulls: \"0\"", "from 1"]),
        ("cni-subnet = \"10.62.0.9/16\"", [":1: cni-subnet", "did you mean 10.62.0.0/16"]),
        ("log-format = \"xml\"", [":1: log-format: \"xml\"", "text or json"]),
        ("listen = [\"127.0.0.1:1\", \"127.0.0.1:2\"]", [":1: listen", "not a list"]),
        ("dns = [\"one.one.one.one\"]", [":1: dns: \"one.one.one.one\"", "IP"]),
        ("[listen]\naddress = 1", [":1: listen", "not a table"]),
    ] {
        let error = run(&[], Some(file)).unwrap_err();
        assert!(words.iter().all(|word| error.contains(word)), "{file}: {error}");
    }
    assert!(run(&[], Some("listen = ")).unwrap_err().contains("line 1"));
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let error = parse::<Program>(["actord", "up", "--config", "/nonexistent/actord.toml"].map(OsString::from));
    assert!(error.unwrap_err().to_string().contains("/nonexistent/actord.toml"));
}

#[test]
fn a_verb_without_settings_reads_no_file() {
    assert!(matches!(parse::<Program>(["actord", "version"].map(OsString::from)).unwrap().verb, Verb::Version));
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    assert!(run(&["--state-dir", "/var/lib/actord/run"], None).unwrap_err().contains("state-dir"));
    assert!(run(&["--listen", "127.0.0.1:8082"], None).unwrap_err().contains("metrics-listen"));
    assert!(run(&["--listen", "127.0.0.1:8083"], None).unwrap_err().contains("dashboard-listen"));
    assert!(run(&["--listen", "127.0.0.1:8083", "--dashboard-listen", "none"], None).is_ok());
    for (given, misses) in [("--tls-certificate", "tls-key is missing"), ("--tls-key", "tls-certificate is missing")] {
        let error = run(&[given, "/etc/actord/tls.pem"], None).unwrap_err();
        assert!(error.contains(misses) && error.contains("/etc/actord/tls.pem"), "{error}");
    }
    assert!(run(&["--dns", "127.0.0.53"], None).unwrap_err().contains("loopback"));
    assert!(run(&["--listen", "127.0.0.1:0", "--provider-listen", "127.0.0.1:0"], None).is_ok());
}

/// What an operator may set; test builds hide more.
fn settings_of(whole: &Command) -> impl Iterator<Item = &clap::Arg> {
    whole.get_arguments().filter(|flag| !flag.is_hide_set())
}

#[test]
fn runtimes_are_a_table_in_the_file_or_a_list_and_repeated_as_a_flag() {
    let table = run(&[], Some("runtimes = { gvisor = \"/usr/bin/runsc\", builtin = \"\" }\n")).unwrap();
    let list = run(&[], Some("runtimes = [\"builtin\", \"gvisor=/usr/bin/runsc\"]\n")).unwrap();
    let flags = run(&["--runtimes", "builtin", "--runtimes", "gvisor=/usr/bin/runsc"], None).unwrap();
    let section = run(&[], Some("[runtimes]\nbuiltin = \"\"\ngvisor = \"/usr/bin/runsc\"\n")).unwrap();
    let names = |config: &Config| config.runtimes.iter().map(|listed| listed.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&table), ["builtin", "gvisor"]);
    for other in [list, flags, section] {
        assert_eq!(other.runtimes, table.runtimes);
    }
    for (file, words) in [
        ("runtimes = { gvisor = 1 }", [":1: runtimes: gvisor", "not a"]),
        ("runtimes = { gvisor = \"runsc\" }", [":1: runtimes: \"gvisor=runsc\"", "absolute path"]),
        ("runtimes = { \"a/b\" = \"/r\" }", [":1: runtimes", "invalid runtime"]),
    ] {
        let error = run(&[], Some(file)).unwrap_err();
        assert!(words.iter().all(|word| error.contains(word)), "{file}: {error}");
    }
}

#[test]
fn capabilities_are_a_list_of_names_that_the_kernel_knows_and_none_by_default() {
    let names = |config: Config| config.capabilities.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(run(&[], None).unwrap()), [""; 0]);
    let listed = run(&[], Some("capabilities = [\"CHOWN\", \"cap_setuid\"]")).unwrap();
    assert_eq!(names(listed), ["CHOWN", "SETUID"]);
    let flags = run(&["--capabilities", "CHOWN", "--capabilities", "NET_RAW"], None).unwrap();
    assert_eq!(names(flags), ["CHOWN", "NET_RAW"]);
    let refused = run(&[], Some("capabilities = [\"ROOT\"]")).unwrap_err();
    assert!(refused.contains(":1: capabilities: \"ROOT\": expected a capability such as CHOWN"), "{refused}");
}

#[test]
fn the_default_runtime_is_one_that_can_be_found() {
    assert_eq!(run(&[], None).unwrap().runtime.as_str(), "builtin");
    for known in ["builtin", "runc"] {
        assert!(run(&["--runtime", known], None).is_ok());
    }
    let error = run(&["--runtime", "runsc"], None).unwrap_err();
    assert!(error.contains("runsc=/usr/bin/runsc"), "{error}");
    assert!(run(&["--runtime", "runsc", "--runtimes", "runsc=/usr/bin/runsc"], None).is_ok());
    let twice = run(&["--runtimes", "a=/b", "--runtimes", "a=/c"], None).unwrap_err();
    assert!(twice.contains("names a twice"), "{twice}");
}

#[test]
fn every_setting_is_in_the_help_with_its_variable() {
    let whole = Config::augment_args(Command::new("actord"));
    let mut program = Program::command();
    let help = program.find_subcommand_mut("up").unwrap().render_long_help().to_string();
    for flag in settings_of(&whole) {
        let name = setting_name(flag.get_id().as_str());
        let variable = format!("ACTORD_{}", flag.get_id().as_str().to_uppercase());
        assert!(help.contains(&format!("--{name} <")), "--{name} is not in the help");
        assert!(help.contains(&format!("[env: {variable}=")), "{variable} is not in the help");
        assert!(flag.get_help().is_some(), "--{name} has no explanation");
    }
}

#[test]
fn the_shipped_file_names_every_setting_with_its_default() {
    let whole = Config::augment_args(Command::new("actord"));
    let settings = uncommented();
    for flag in settings_of(&whole).filter(|flag| flag.get_id() != "config") {
        let name = setting_name(flag.get_id().as_str());
        assert!(settings.contains(&format!("\n{name} = ")), "{name} is not in config/actord.toml");
    }
    assert_eq!(run(&[], Some(&settings)).unwrap(), run(&[], None).unwrap());
    let defaults = read(Path::new("actord.toml"), &settings).unwrap();
    for flag in settings_of(&whole) {
        let built_in: Vec<_> =
            flag.get_default_values().iter().map(|value| value.to_str().unwrap().to_owned()).collect();
        let id = flag.get_id().as_str();
        if id != "config" {
            assert_eq!(defaults.get(id).cloned().unwrap_or_default(), built_in, "{id}");
        }
    }
    assert_eq!(run(&[], Some(SHIPPED)).unwrap(), run(&[], None).unwrap());
}

#[test]
fn the_document_lists_every_setting_with_its_default_and_no_other() {
    let document = include_str!("../../../docs/configuration.md");
    let whole = Config::augment_args(Command::new("actord"));
    let mut settings = 0;
    for flag in settings_of(&whole) {
        let name = setting_name(flag.get_id().as_str());
        let values: Vec<_> =
            flag.get_default_values().iter().map(|value| format!("`{}`", value.to_str().unwrap())).collect();
        let row = format!("| `{name}` | {}", values.join(", "));
        assert!(document.contains(&row), "docs/configuration.md has no row {row:?}");
        settings += 1;
    }
    assert_eq!(document.lines().filter(|line| line.starts_with("| `")).count(), settings);
}

#[test]
fn the_command_tells_which_settings_a_verb_takes_in_every_build() {
    let command = crate::cli::Cli::command();
    for (line, takes) in [
        ("actord up", Some(true)),
        ("actord image import x.tar", Some(true)),
        ("actord ls", Some(false)),
        ("actord secret ls", Some(false)),
        ("actord completion bash", None),
    ] {
        let matches = command.clone().try_get_matches_from(line.split(' ')).unwrap();
        assert_eq!(configured(&command, &matches).map(|(_, whole)| whole), takes, "{line}");
    }
}
