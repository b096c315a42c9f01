//! Rules of iptables as text: how one is written, and scripts for `iptables-restore`.

/// A rule as iptables takes it: its table, its chain and its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) table: &'static str,
    pub(super) chain: &'static str,
    pub(super) words: String,
}

/// The comment that tells our rules from others'. A host has only one bridge of that name.
pub(super) fn mark(bridge: &str) -> String {
    format!("actord:{bridge}")
}

/// A script that puts rules before all others of their chains, all of them or none.
pub(super) fn insertion(rules: &[Rule]) -> String {
    let of = |table: &str| -> Vec<String> {
        let of_table = rules.iter().filter(|rule| rule.table == table);
        of_table.map(|rule| format!("-I {} {}", rule.chain, rule.words)).collect()
    };
    table("filter", &of("filter")) + &table("nat", &of("nat"))
}

/// One table's part of a script.
pub(super) fn table(name: &str, commands: &[String]) -> String {
    if commands.is_empty() { String::new() } else { format!("*{name}\n{}\nCOMMIT\n", commands.join("\n")) }
}
