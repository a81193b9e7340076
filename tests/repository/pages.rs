//! Pages that name tests, files and other pages name those that exist.

mod book;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// The pages that name tests, with the number of tests that each names at least.
const PAGES_WITH_TESTS: [(&str, usize); 3] =
    [("tests/front-ends.md", 200), ("MIGRATING.md", 40), ("SECURITY.md", 40)];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The lines of a page that are not part of a code block.
fn prose(page: &str) -> String {
    let mut is_code = false;
    let lines = page.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The tests that a page names: the file, and the name of the test.
fn named(page: &str) -> Vec<(String, String)> {
    let prose = prose(page);
    let quoted = prose.split('`').skip(1).step_by(2);
    let names = quoted.filter(|text| text.contains('/')).filter_map(|text| {
        let (file, path) = text.split_once("::")?;
        let folder = if file.starts_with("examples/") { "" } else { "tests/" };
        Some((format!("{folder}{file}.rs"), path.rsplit("::").next()?.to_owned()))
    });
    names.collect()
}

/// The files to which a page links.
fn linked(page: &str) -> Vec<String> {
    let prose = prose(page);
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split([')', '#', ' ']).next());
    targets.filter(|target| !target.is_empty() && !target.contains(':')).map(str::to_owned).collect()
}

/// The files and folders of the repository that a page names in code type, such as `src/lib.rs`.
fn mentioned(page: &str) -> Vec<String> {
    const FOLDERS: [&str; 7] = ["autobahn/", "benches/", "docs/", "examples/", "src/", "tests/", ".ci/"];
    let prose = prose(page);
    let quoted = prose.split('`').skip(1).step_by(2).filter_map(|text| text.split_whitespace().next());
    let paths = quoted.filter(|text| FOLDERS.iter().any(|folder| text.starts_with(folder)));
    paths.filter(|text| !text.contains(['*', ':'])).map(str::to_owned).collect()
}

fn has_test(source: &str, name: &str) -> bool {
    source.contains(&format!("fn {name}(")) && source.contains("test]")
}

/// The pages for readers: those in the root folder, in `docs`, and beside what they describe.
fn pages() -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut pages: Vec<_> = book::pages()?.into_iter().map(|page| root().join(page)).collect();
    for folder in ["", "tests", "autobahn", "benches", "examples", "fuzz"] {
        let Ok(entries) = fs::read_dir(root().join(folder)) else { continue };
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    Ok(pages)
}

#[test]
fn every_test_on_a_page_exists() -> Result<(), Box<dyn Error>> {
    let mut missing = Vec::new();
    for (page, least) in PAGES_WITH_TESTS {
        let text = fs::read_to_string(root().join(page)).map_err(|err| format!("{page}: {err}"))?;
        let named = named(&text);
        assert!(named.len() >= least, "{page} names only {} tests", named.len());
        for (file, test) in named {
            if !has_test(&fs::read_to_string(root().join(&file)).unwrap_or_default(), &test) {
                missing.push(format!("{page}: {file}: {test}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    Ok(())
}

/// The entries of the lists in a section of a page, which begin with a statement in bold type.
fn entries<'p>(page: &'p str, section: &str) -> Vec<&'p str> {
    let section = page.split("\n## ").find(|text| text.starts_with(section)).unwrap_or_default();
    let entries = section.split("\n- **").skip(1);
    entries.filter_map(|entry| entry.split("\n\n").next()).map(str::trim_end).collect()
}

#[test]
fn every_difference_from_ws_names_a_test() -> Result<(), Box<dyn Error>> {
    let page = fs::read_to_string(root().join("MIGRATING.md"))?;
    let entries = entries(&page, "Changes in behavior");
    assert!(entries.len() >= 45, "only {} entries", entries.len());
    let untested: Vec<&str> = entries.into_iter().filter(|entry| named(entry).is_empty()).collect();
    assert!(untested.is_empty(), "{untested:#?}");
    Ok(())
}

#[test]
fn an_entry_without_a_test_is_found() {
    let page = "# Page\n\n## A\n\n### B\n\n- **One.** Test: `a/b::c`.\n- **Two.** No\n  test.\n\n### C\n\n- **Three.**\n\n## D\n- **No.**";
    let entries = entries(page, "A");
    assert_eq!(entries, ["One.** Test: `a/b::c`.", "Two.** No\n  test.", "Three.**"]);
    assert_eq!(entries.iter().filter(|entry| named(entry).is_empty()).count(), 2);
}

#[test]
fn every_link_to_a_file_is_valid() -> Result<(), Box<dyn Error>> {
    let mut missing = Vec::new();
    for page in pages()? {
        let folder = page.parent().unwrap_or_else(|| root());
        for target in linked(&fs::read_to_string(&page)?) {
            if !folder.join(&target).exists() {
                missing.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    Ok(())
}

#[test]
fn every_file_on_a_page_exists() -> Result<(), Box<dyn Error>> {
    let mut missing = Vec::new();
    for page in pages()? {
        let folder = page.parent().unwrap_or_else(|| root());
        for path in mentioned(&fs::read_to_string(&page)?) {
            if ![root(), folder].iter().any(|start| start.join(&path).exists()) {
                missing.push(format!("{}: {path}", page.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    Ok(())
}

/// Each row of the table of front ends exists once, and no cell of a front end outside the browser is empty.
#[test]
fn every_row_exists_once_and_is_complete() -> Result<(), Box<dyn Error>> {
    let page = fs::read_to_string(root().join("tests/front-ends.md"))?;
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| "))
        .map(|line| line.split(" | ").map(|cell| cell.trim_end_matches('|').trim()).collect())
        .collect();
    for (group, last) in [("C", 17), ("S", 16), ("M", 27), ("A", 15), ("L", 7), ("R", 12), ("X", 4), ("P", 8)]
    {
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
fn test_names_links_and_files_are_extracted_from_a_page() {
    let page = "| X | `front-ends/blocking/server::compressed::gone` `protocol::Config` `examples/upgrade/tests/upgrade::s3` |\n\
                ```\nlet x = `a/b::c`;\n```\nSee [limits](docs/limits.md#sizes), [docs](https://docs.rs) and [above](#x).";
    let expected =
        [("tests/front-ends/blocking/server.rs", "gone"), ("examples/upgrade/tests/upgrade.rs", "s3")];
    let expected = expected.map(|(file, test)| (file.to_owned(), test.to_owned()));
    assert_eq!(named(page), expected);
    assert_eq!(linked(page), ["docs/limits.md"]);
    assert_eq!(
        mentioned("See `src/lib.rs`, `.ci/run docs`, `a/b` and `tests/a::b`."),
        ["src/lib.rs", ".ci/run"]
    );
    assert!(has_test("#[test]\nfn there() {}", "there") && !has_test("fn helper() {}", "help"));
}

/// The page of limits states the defaults of the settings that it names.
#[cfg(feature = "reactor")]
#[test]
fn the_page_of_limits_states_the_defaults_of_the_settings() -> Result<(), Box<dyn Error>> {
    let defaults = sockeye::Settings::default();
    let size = |bytes: usize| match bytes {
        _ if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => thousands(bytes),
    };
    let time = |time: Option<std::time::Duration>| match time {
        Some(time) => format!("{} s", time.as_secs()),
        None => "off".to_owned(),
    };
    let expected = [
        ("max_connections", thousands(defaults.max_connections)),
        ("queue_size` × `max_connections", thousands(defaults.queue_size * defaults.max_connections)),
        ("max_message_size", size(defaults.max_message_size)),
        ("max_buffered", size(defaults.max_buffered)),
        ("max_head_size", size(defaults.max_head_size)),
        ("max_target_size", size(defaults.max_target_size)),
        ("max_headers", thousands(defaults.max_headers)),
        ("max_redirects", defaults.max_redirects.to_string()),
        ("fragment_size", size(defaults.fragment_size)),
        ("connect_timeout", time(Some(defaults.connect_timeout))),
        ("handshake_timeout", time(Some(defaults.handshake_timeout))),
        ("close_timeout", time(Some(defaults.close_timeout))),
        ("max_connections_per_address", "off".to_owned()),
        ("accept_backlog", thousands(defaults.accept_backlog as usize)),
        ("min_message_rate", size(defaults.min_message_rate)),
        ("queue_bytes", size(defaults.queue_bytes)),
        ("max_memory", "1 GiB".to_owned()),
        ("max_turn", format!("{} ms", defaults.max_turn.as_millis())),
        ("write_timeout", time(defaults.write_timeout)),
        ("tcp_keepalive", time(defaults.tcp_keepalive)),
        ("idle_timeout", time(defaults.idle_timeout)),
        ("ping_interval", time(defaults.ping_interval)),
    ];
    assert_eq!((defaults.max_connections_per_address, defaults.max_memory), (None, 1 << 30));
    let page = fs::read_to_string(root().join("docs/limits.md"))?;
    for (setting, default) in expected {
        let column = format!("| `{setting}` | {default} |");
        assert!(page.contains(&column), "docs/limits.md has no column {column}");
    }
    Ok(())
}

/// A number with commas between groups of three digits.
#[cfg(feature = "reactor")]
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}
