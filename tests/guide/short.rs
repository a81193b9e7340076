//! The programs on `docs/programs.md`.

use std::fs;
use std::net::TcpListener;

use sockeye_test_support::bytes::CLOSE;
use sockeye_test_support::peer::Peer;

use crate::process::Program;

/// The programs, and how many lines each may have. All lines of the listing count, except empty ones.
const LINES: [(&str, usize); 6] = [
    ("echo", 3),
    ("rooms", 25),
    ("reconnecting_client", 10),
    ("cookie_check", 20),
    ("ticker", 20),
    ("drain", 8),
];

fn page() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/programs.md")).unwrap()
}

/// Returns the number of lines of a program. Hidden lines would not be part of what a reader copies, so there are none.
fn lines(page: &str, name: &str) -> Option<usize> {
    let mut parts = page.split("\n<!-- program: ").skip(1);
    let part = parts.find(|part| part.split([',', ' ']).next() == Some(name))?;
    let (_, listing) = part.split_once("\n```rust")?;
    let code = listing.split_once("\n```")?.0.lines().skip(1).filter(|line| !line.trim().is_empty());
    assert!(code.clone().all(|line| line != "#" && !line.starts_with("# ")), "{name} has hidden lines");
    Some(code.count())
}

#[test]
fn the_programs_are_as_short_as_promised() {
    let page = page();
    for (name, most) in LINES {
        let lines = lines(&page, name).unwrap_or_else(|| panic!("{name} is not on the page"));
        assert!(lines <= most, "{name} has {lines} lines, more than {most}");
        // The table on the page.
        let anchor = name.split('_').next().unwrap();
        let row = page.lines().find(|line| line.starts_with("| [") && line.contains(&format!("](#{anchor}")));
        let row = row.unwrap_or_else(|| panic!("{name} is not in the table"));
        assert!(row.contains(&format!(" | {lines} | ")), "{name} has {lines} lines: {row}");
    }
}

#[test]
fn all_lines_of_a_program_count_except_empty_ones() {
    let page = "\n<!-- program: a -->\n```rust,no_run\nuse b;\n\nfn main() {\n    // c\n}\n```\n\n<!-- program: ab, feature: d -->\n```rust\nfn main() {}\n```\n";
    assert_eq!(lines(page, "a"), Some(4));
    assert_eq!(lines(page, "ab"), Some(1));
    assert_eq!(lines(page, "b"), None);
}

#[test]
fn echo_returns_each_message() {
    for name in ["echo", "introduction"] {
        let program = Program::start(name);
        let mut client = program.open("/");
        client.echo("hello");
        client.echo("");
        client.finish();
    }
}

#[test]
fn rooms_pass_messages_to_the_other_members() {
    let program = Program::start("rooms");
    let (mut ann, mut bob) = (program.open("/kitchen"), program.open("/kitchen"));
    let (mut eve, mut kim) = (program.open("/garden"), program.open("/garden"));
    eve.send_text("in the garden");
    assert_eq!(kim.message(), "in the garden");
    ann.send_text("hello");
    assert_eq!(bob.message(), "hello");
    bob.send_text("hello, Ann");
    // Her own message and that of the other room would come first.
    assert_eq!(ann.message(), "hello, Ann");
}

#[test]
fn a_client_connects_again_until_the_server_has_finished() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut program = Program::start_client("reconnecting_client", listener.local_addr().unwrap());
    let accept = || {
        let mut server = Peer::accept(&listener);
        server.upgrade();
        server.send_text("news");
        assert_eq!(server.message(), "received");
        server
    };
    accept().reset();
    // The end of TCP without a Close is a lost connection as well.
    drop(accept());
    accept().send_frame(CLOSE, &1000_u16.to_be_bytes());
    assert!(program.wait().success());
}

#[test]
fn a_cookie_decides_who_may_connect() {
    let program = Program::start("cookie_check");
    for headers in ["", "Cookie: session=forged\r\n", "Cookie: other=31d4d96e\r\n"] {
        assert_eq!(program.request("/", headers).1.status(), 401, "{headers}");
    }
    let (mut client, head) = program.request("/", "Cookie: theme=dark; session=31d4d96e\r\n");
    assert_eq!(head.status(), 101);
    client.echo("hello");
}

#[test]
fn the_ticker_sends_the_prices_of_a_share() {
    let program = Program::start("ticker");
    let mut client = program.open("/");
    client.send_text("TROUT");
    let prices: Vec<u32> = (0..3)
        .map(|_| {
            let message = client.message();
            let price = message.strip_prefix("TROUT ").unwrap_or_else(|| panic!("{message}"));
            price.parse().unwrap()
        })
        .collect();
    assert!(prices.is_sorted_by(|one, next| one < next), "{prices:?}");
}

#[cfg(all(feature = "signals", unix))]
#[test]
fn a_signal_drains_the_server() {
    let mut program = Program::start("drain");
    let mut client = program.open("/");
    client.echo("hello");
    program.terminate();
    assert_eq!(client.close_code(), Some(1001));
    client.send_frame(CLOSE, &1001_u16.to_be_bytes());
    assert!(program.wait().success());
}
