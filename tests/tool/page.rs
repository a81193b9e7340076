//! The page `docs/tool.md` lists each option, and each option on it has a test.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::run;

const COMMANDS: [&str; 3] = ["connect", "listen", "bench"];

fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|err| panic!("{}: {err}", path.display()))
}

/// The long options in a text, without help and version.
fn long_options(text: &str) -> BTreeSet<String> {
    let words = text.split(|char: char| !(char.is_ascii_alphanumeric() || char == '-'));
    let options =
        words.filter(|word| word.starts_with("--") && word.len() > 2).map(|word| word[2..].to_owned());
    options.filter(|option| option != "help" && option != "version").collect()
}

/// The options in the first column of the table below a heading.
fn documented(page: &str, command: &str) -> BTreeSet<String> {
    let heading = format!("### `sockeye {command}`");
    let section = page.split(&heading).nth(1).unwrap_or_else(|| panic!("the page has no heading {heading}"));
    let section = section.split("\n#").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| "));
    rows.flat_map(|row| long_options(row.split(" | ").next().unwrap_or_default())).collect()
}

/// The options that the help of a command lists, without the aliases.
fn implemented(command: &str) -> BTreeSet<String> {
    let help = run(&format!("{command}|--help"), "").text();
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    lines.flat_map(|line| long_options(line.split("  ").next().unwrap_or_default())).collect()
}

#[test]
fn the_page_lists_each_option() {
    let page = file("docs/tool.md");
    for command in COMMANDS {
        assert_eq!(documented(&page, command), implemented(command), "{command}");
    }
}

#[test]
fn each_option_has_a_test_of_its_name() {
    let page = file("docs/tool.md");
    for command in COMMANDS {
        let mut tests = file(&format!("tests/tool/{command}.rs"));
        if command == "connect" {
            tests += &file("tests/tool/tls.rs");
        }
        let options = documented(&page, command);
        assert!(options.len() > 20, "{command} has only {} options", options.len());
        let is_missing =
            |option: &&String| !tests.contains(&format!("#[test]\nfn {}()", option.replace('-', "_")));
        let missing: Vec<_> = options.iter().filter(is_missing).collect();
        assert!(missing.is_empty(), "{command}: {missing:?}");
    }
}

#[test]
fn the_page_has_the_exit_codes_of_the_help() {
    let (page, help) = (file("docs/tool.md"), run("--help", "").text());
    let codes: Vec<_> =
        help.split("Exit codes:").nth(1).unwrap().lines().filter(|line| !line.trim().is_empty()).collect();
    assert_eq!(codes.len(), 11);
    for line in codes {
        let (code, meaning) = line.trim().split_once(' ').unwrap();
        let row = format!("| {code} | {} |", meaning.trim());
        assert!(page.contains(&row), "docs/tool.md has no row {row}");
    }
}

#[test]
fn options_are_found_in_a_table_and_in_help() {
    let page = "### `sockeye x`\n\n| option | y |\n|---|---|\n| `-a`, `--all[=N]` | `--other` |\n| `--b-c` | no |\n\n### next\n| `--d` |";
    assert_eq!(documented(page, "x"), BTreeSet::from(["all".to_owned(), "b-c".to_owned()]));
    assert_eq!(long_options("-q, --quiet"), BTreeSet::from(["quiet".to_owned()]));
}
