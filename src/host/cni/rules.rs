//! Rules of iptables as text: whose they are, what they stand in, and scripts for `iptables-restore`.

/// A rule as iptables takes it: its table, its chain and its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) table: &'static str,
    pub(super) chain: String,
    pub(super) words: String,
}

/// The tables that we have rules in.
const TABLES: [&str; 2] = ["filter", "nat"];

/// The comment that tells our rules from others'. A host has only one bridge of that name.
pub(super) fn mark(bridge: &str) -> String {
    format!("actord:{bridge}")
}

/// Our own chains of the filter table. With the longest name of a bridge they are shorter than the 28 characters that
/// iptables takes.
pub(super) fn chains(bridge: &str) -> [String; 2] {
    [forwarded(bridge), to_host(bridge)]
}

/// What the bridge's packets pass that leave it for another link.
pub(super) fn forwarded(bridge: &str) -> String {
    format!("actord-fwd-{bridge}")
}

/// What the bridge's packets pass that are for this machine.
pub(super) fn to_host(bridge: &str) -> String {
    format!("actord-in-{bridge}")
}

/// The lines of one table of what `iptables-save` printed.
pub(super) fn lines<'a>(saved: &'a str, table: &str) -> impl Iterator<Item = &'a str> {
    let header = format!("*{table}");
    saved.lines().skip_while(move |line| *line != header).skip(1).take_while(|line| *line != "COMMIT")
}

/// Our own rules for a bridge in one table, as they were saved.
pub(super) fn marked<'a>(saved: &'a str, table: &str, bridge: &str) -> impl Iterator<Item = &'a str> {
    let mark = format!(r#"--comment "{}""#, mark(bridge));
    lines(saved, table).filter(move |line| line.starts_with("-A ") && line.contains(&mark))
}

/// All of our own rules for a bridge, in their order.
pub(super) fn all_marked(saved: &str, bridge: &str) -> Vec<String> {
    TABLES.iter().flat_map(|table| marked(saved, table, bridge).map(move |line| format!("{table} {line}"))).collect()
}

/// `-D` for a rule as it was saved with `-A`.
pub(super) fn deletion(rule: &str) -> String {
    rule.replacen("-A ", "-D ", 1)
}

/// A script that puts `rules` in the place of all that a bridge has: each table in one step. Our own chains have no others;
/// in the kernel's own they come before all others.
pub(super) fn replacement(saved: &str, bridge: &str, rules: &[Rule]) -> String {
    let own = chains(bridge);
    let of = |name: &str| {
        let declared = own.iter().filter(|_| name == "filter").map(|chain| format!(":{chain} - [0:0]"));
        let old = marked(saved, name, bridge).map(deletion);
        // A chain that is declared is empty.
        let old = old.filter(|line| !own.iter().any(|chain| line.starts_with(&format!("-D {chain} "))));
        let new = rules.iter().filter(|rule| rule.table == name).map(|Rule { chain, words, .. }| {
            let verb = if own.contains(chain) { "-A" } else { "-I" };
            format!("{verb} {chain} {words}")
        });
        table(name, &declared.chain(old).chain(new).collect::<Vec<_>>())
    };
    TABLES.iter().map(|name| of(name)).collect()
}

/// One table's part of a script.
pub(super) fn table(name: &str, commands: &[String]) -> String {
    if commands.is_empty() { String::new() } else { format!("*{name}\n{}\nCOMMIT\n", commands.join("\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_take_the_place_of_those_that_are_there_and_of_no_others() {
        let saved = r#"*filter
:FORWARD ACCEPT [0:0]
:actord-fwd-br1 - [0:0]
-A FORWARD -i br12 -m comment --comment "actord:br12" -j ACCEPT
-A FORWARD -i br1 -m comment --comment "actord:br1" -j ACCEPT
-A actord-fwd-br1 -m comment --comment "actord:br1" -j DROP
COMMIT
"#;
        let rule = |table, chain: &str, words: &str| Rule { table, chain: chain.to_owned(), words: words.to_owned() };
        let rules = [
            rule("filter", "actord-fwd-br1", "-j ACCEPT"),
            rule("filter", "FORWARD", "-i br1 -j actord-fwd-br1"),
            rule("nat", "POSTROUTING", "-j MASQUERADE"),
        ];
        let expected = "*filter\n:actord-fwd-br1 - [0:0]\n:actord-in-br1 - [0:0]\n\
            -D FORWARD -i br1 -m comment --comment \"actord:br1\" -j ACCEPT\n\
            -A actord-fwd-br1 -j ACCEPT\n-I FORWARD -i br1 -j actord-fwd-br1\nCOMMIT\n\
            *nat\n-I POSTROUTING -j MASQUERADE\nCOMMIT\n";
        assert_eq!(replacement(saved, "br1", &rules), expected);
    }

    #[test]
    fn the_longest_name_of_a_bridge_makes_no_chain_that_is_too_long() {
        for chain in chains("abcdefghijklmno") {
            assert!(chain.len() <= 28, "{chain}");
        }
    }
}
