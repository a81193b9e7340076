//! The pages that name tests name those that are there.

use std::error::Error;
use std::fs;
use std::path::Path;

/// What a page names: the file, and the name of the test.
fn named(page: &str) -> impl Iterator<Item = (String, String)> {
    let quoted = page.split('`').skip(1).step_by(2);
    quoted.filter(|text| text.contains('/')).filter_map(|text| {
        let (file, path) = text.split_once("::")?;
        let folder = if file.starts_with("examples/") { "" } else { "tests/" };
        Some((format!("{folder}{file}.rs"), path.rsplit("::").next()?.to_owned()))
    })
}

fn has_test(source: &str, name: &str) -> bool {
    source.contains(&format!("fn {name}(")) && source.contains("test]")
}

#[test]
fn every_test_that_is_named_is_there() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("tests/front-ends.md"))?;
    let (mut count, mut missing) = (0, Vec::new());
    for (file, test) in named(&page) {
        count += 1;
        if !has_test(&fs::read_to_string(root.join(&file)).unwrap_or_default(), &test) {
            missing.push(format!("{file}: {test}"));
        }
    }
    assert!(count > 200, "the page names {count} tests only");
    assert!(missing.is_empty(), "{missing:#?}");
    Ok(())
}

/// Each row has its place once, and no cell of a front end without a browser is empty.
#[test]
fn every_row_is_there() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("tests/front-ends.md"))?;
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| "))
        .map(|line| line.split(" | ").map(|cell| cell.trim_end_matches('|').trim()).collect())
        .collect();
    for (group, last) in [("C", 17), ("S", 16), ("M", 27), ("A", 15), ("L", 7), ("X", 4), ("P", 8)] {
        for number in 1..=last {
            let id = format!("{group}{number}");
            let found: Vec<_> = rows.iter().filter(|row| row.first() == Some(&id.as_str())).collect();
            assert_eq!(found.len(), 1, "{id}");
            let cells = found.iter().flat_map(|row| row.iter().skip(2).take(3));
            assert!(cells.clone().count() == 3 && cells.clone().all(|cell| !cell.is_empty()), "{id}");
        }
    }
    Ok(())
}

#[test]
fn a_name_that_is_gone_is_found() {
    let page =
        "| X | `blocking/server::compressed::gone` `protocol::Config` `examples/upgrade/tests/upgrade::s3` |";
    let expected = [("tests/blocking/server.rs", "gone"), ("examples/upgrade/tests/upgrade.rs", "s3")];
    let expected = expected.map(|(file, test)| (file.to_owned(), test.to_owned()));
    assert_eq!(named(page).collect::<Vec<_>>(), expected);
    assert!(has_test("#[test]\nfn there() {}", "there") && !has_test("fn helper() {}", "help"));
}
