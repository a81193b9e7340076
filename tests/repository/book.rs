//! The guide in `docs` is complete: every page is in its summary, every link resolves, and every listing is tested or marked.

use std::collections::{BTreeSet, HashSet};
use std::error::Error;
use std::fs;
use std::path::Path;

use super::root;

/// Pages with Rust listings that are compiled and not run, how many, and why.
const NOT_RUN: [(&str, usize, &str); 7] = [
    ("docs/features.md", 3, "they connect to a server on the Internet, or are part of another HTTP server"),
    ("docs/machines.md", 1, "it needs a Redis server"),
    ("docs/other-servers.md", 2, "they run until they are stopped; examples/upgrade runs the same programs"),
    (
        "docs/production.md",
        1,
        "it listens on all interfaces; `drain` on docs/programs.md is the same program",
    ),
    ("docs/proxies.md", 4, "they need a proxy; tests/proxies uses real ones"),
    ("docs/reconnecting.md", 4, "they connect to a server on the Internet"),
    ("docs/tls.md", 3, "they need certificates"),
];

/// The languages of listings that are neither a configuration nor a program.
const OTHER_LANGUAGES: [&str; 3] = ["sh", "text", "toml"];

/// The pages of the guide, as paths in the repository.
pub(crate) fn pages() -> Result<BTreeSet<String>, Box<dyn Error>> {
    let mut pages = BTreeSet::new();
    let mut folders = vec!["docs".to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder))? {
            let entry = entry?;
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if Path::new(&path).extension().is_some_and(|extension| extension == "md") {
                pages.insert(path);
            }
        }
    }
    Ok(pages)
}

fn read(page: &str) -> Result<String, Box<dyn Error>> {
    Ok(fs::read_to_string(root().join(page)).map_err(|err| format!("{page}: {err}"))?)
}

/// A code block of a page.
#[derive(Debug, PartialEq)]
struct Listing<'p> {
    /// What follows the fence: the language, and attributes.
    info: &'p str,
    code: String,
    /// Whether a comment before it makes it a program that `tests/guide` runs.
    is_program: bool,
    /// The number of its section.
    section: usize,
}

/// Returns the listings of a page, and the text of each section.
fn listings(page: &str) -> (Vec<Listing<'_>>, Vec<String>) {
    let (mut listings, mut sections) = (Vec::new(), vec![String::new()]);
    let mut last_line = "";
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let code = lines.by_ref().take_while(|line| *line != "```").collect::<Vec<_>>().join("\n");
            let is_program = last_line.starts_with("<!-- program: ");
            listings.push(Listing { info, code, is_program, section: sections.len() - 1 });
        } else if line.starts_with('#') {
            sections.push(line.to_owned());
        } else if let Some(section) = sections.last_mut() {
            *section += " ";
            *section += line;
        }
        if !line.is_empty() {
            last_line = line;
        }
    }
    (listings, sections)
}

#[test]
fn every_page_is_in_the_summary_once() -> Result<(), Box<dyn Error>> {
    let summary = read("docs/SUMMARY.md")?;
    let listed: Vec<String> = super::linked(&summary).iter().map(|page| format!("docs/{page}")).collect();
    let mut pages = pages()?;
    pages.remove("docs/SUMMARY.md");
    for page in &pages {
        let count = listed.iter().filter(|other| *other == page).count();
        assert_eq!(count, 1, "docs/SUMMARY.md must contain a line for {page}");
    }
    assert_eq!(listed.len(), pages.len(), "docs/SUMMARY.md contains a page that does not exist: {listed:?}");
    Ok(())
}

/// The anchors of the headings of a page, as GitHub and mdBook generate them.
fn anchors(page: &str) -> HashSet<String> {
    let prose = super::prose(page);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let mut anchors = HashSet::new();
    for heading in headings {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|sign| sign.is_alphanumeric() || matches!(sign, ' ' | '-' | '_'));
        let anchor = kept.collect::<String>().replace(' ', "-");
        let numbered = (1..).map(|number| format!("{anchor}-{number}"));
        let unique = std::iter::once(anchor.clone()).chain(numbered).find(|anchor| !anchors.contains(anchor));
        anchors.extend(unique);
    }
    anchors
}

/// The links of a page with an anchor: the file, which is empty for the page itself, and the anchor.
fn links_with_anchor(page: &str) -> Vec<(String, String)> {
    let prose = super::prose(page);
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let links = targets.filter(|target| !target.contains(':')).filter_map(|target| target.split_once('#'));
    links.map(|(file, anchor)| (file.to_owned(), anchor.to_owned())).collect()
}

#[test]
fn every_anchor_in_a_link_exists() -> Result<(), Box<dyn Error>> {
    let mut missing = Vec::new();
    for page in super::pages()? {
        let text = fs::read_to_string(&page)?;
        for (file, anchor) in links_with_anchor(&text) {
            let target = if file.is_empty() { page.clone() } else { page.with_file_name(&file) };
            let is_page = target.extension().is_some_and(|extension| extension == "md");
            if is_page && !anchors(&fs::read_to_string(&target)?).contains(&anchor) {
                missing.push(format!("{}: {file}#{anchor}", page.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    Ok(())
}

/// Returns what is wrong with a Rust listing. `not_run` is how many listings of the page are compiled only.
fn problem_of_rust(listing: &Listing<'_>, section: &str, not_run: &mut usize) -> Option<&'static str> {
    let has = |attribute: &str| listing.info.split(',').any(|part| part == attribute);
    if has("ignore") {
        return (!section.contains("not tested")).then_some("is ignored, and not marked as \"not tested\"");
    }
    if listing.is_program {
        return (!has("no_run")).then_some("is a program that the documentation test would run forever");
    }
    if has("no_run") {
        *not_run += 1;
    }
    has("compile_fail").then_some("does not compile")
}

#[test]
fn every_rust_listing_is_compiled_and_run() -> Result<(), Box<dyn Error>> {
    // The second one has the servers that some programs need.
    let (library, servers) = (read("src/lib.rs")?, read("examples/upgrade/src/lib.rs")?);
    let mut problems = Vec::new();
    for page in pages()? {
        let text = read(&page)?;
        let (listings, sections) = listings(&text);
        let mut not_run = 0;
        for listing in listings.iter().filter(|listing| listing.info.starts_with("rust")) {
            if !library.contains(&format!("include_str!(\"../{page}\")"))
                && !servers.contains(&format!("include_str!(\"../../../{page}\")"))
            {
                problems.push(format!("{page} has Rust listings, and is not one of the tested pages"));
            }
            let problem = problem_of_rust(listing, &sections[listing.section], &mut not_run);
            problems.extend(problem.map(|problem| format!("{page}: this listing {problem}: {listing:?}")));
        }
        let expected = NOT_RUN.iter().find(|(other, ..)| *other == page).map_or(0, |(_, count, _)| *count);
        if not_run != expected {
            problems
                .push(format!("{page}: {not_run} listings are compiled and not run, instead of {expected}"));
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
    Ok(())
}

/// The beginnings of the configuration files that `tests/production` reads from the page.
fn tested_files() -> Result<Vec<String>, Box<dyn Error>> {
    let script = read("tests/production/page.py")?;
    let arguments = script.split("block(\"").skip(1).filter_map(|rest| rest.split('"').next());
    Ok(arguments.map(|argument| argument.replace("\\n", "\n")).collect())
}

#[test]
fn every_other_listing_is_tested_or_marked() -> Result<(), Box<dyn Error>> {
    let tested = tested_files()?;
    assert!(tested.len() >= 6, "{tested:?}");
    let mut unmarked = Vec::new();
    for page in pages()? {
        let text = read(&page)?;
        let (listings, sections) = listings(&text);
        for listing in listings {
            let is_other = listing.info.starts_with("rust") || OTHER_LANGUAGES.contains(&listing.info);
            let code = format!("{}\n", listing.code);
            let is_tested =
                page == "docs/production.md" && tested.iter().any(|start| code.starts_with(start));
            if !is_other && !is_tested && !sections[listing.section].contains("not tested") {
                unmarked.push(format!("{page}: {listing:?}"));
            }
        }
    }
    assert!(unmarked.is_empty(), "the sections of these listings must contain \"not tested\": {unmarked:#?}");
    Ok(())
}

#[test]
fn listings_anchors_and_links_are_extracted_from_a_page() {
    let page = "# A\nIt is not\ntested.\n```ini\n[b]\n```\n## `C` & d\n\n<!-- program: e -->\n```rust,no_run\nfn main() {}\n\n```\n## A\n[f](g.md#h) [i](#j) [k](l.md) [m](https://n.o/#p)";
    let (listings, sections) = listings(page);
    let expected = [
        Listing { info: "ini", code: "[b]".into(), is_program: false, section: 1 },
        Listing { info: "rust,no_run", code: "fn main() {}\n".into(), is_program: true, section: 2 },
    ];
    assert_eq!(listings, expected);
    assert_eq!(sections[1], "# A It is not tested.");
    assert_eq!(anchors(page), ["a", "c--d", "a-1"].map(str::to_owned).into());
    let links = [("g.md", "h"), ("", "j")].map(|(file, anchor)| (file.to_owned(), anchor.to_owned()));
    assert_eq!(links_with_anchor(page), links);
}

#[test]
fn untested_rust_listings_are_found() {
    let problem = |info, is_program, section| {
        let mut not_run = 0;
        let listing = Listing { info, code: String::new(), is_program, section: 0 };
        (problem_of_rust(&listing, section, &mut not_run).is_some(), not_run)
    };
    assert_eq!(problem("rust", false, ""), (false, 0));
    assert_eq!(problem("rust,no_run", false, ""), (false, 1));
    assert_eq!(problem("rust,no_run", true, ""), (false, 0));
    assert_eq!(problem("rust", true, ""), (true, 0));
    assert_eq!(problem("rust,ignore", false, ""), (true, 0));
    assert_eq!(problem("rust,ignore", false, "This is not tested."), (false, 0));
    assert_eq!(problem("rust,compile_fail", false, ""), (true, 0));
}
