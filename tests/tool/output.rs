//! What is printed where.

use crate::support::{Setup, run};

#[test]
fn a_pipe_receives_control_characters_and_the_standard_error_does_not() {
    let on_open = |out: &sockeye::Sender| {
        out.send("\x1b[31mred")?;
        out.close_with_reason(sockeye::CloseCode::Normal, "\x1b[32mgreen")
    };
    let server = Setup { on_open, ..Setup::default() }.start();
    let done = run(&format!("connect|{}|--no-close", server.url()), "");
    assert_eq!(done.text(), "\x1b[31mred\n");
    assert!(
        done.stderr.contains("closed with 1000 Normal: \\u{1b}[32mgreen") && !done.stderr.contains('\x1b'),
        "{}",
        done.stderr
    );
}

#[test]
fn binary_messages_are_written_as_they_are() {
    let on_open = |out: &sockeye::Sender| {
        out.send(vec![1, 2])?;
        out.send(vec![3, 0, 255])?;
        out.close(sockeye::CloseCode::Normal)
    };
    let server = Setup { on_open, ..Setup::default() }.start();
    let done = run(&format!("connect|{}|--no-close", server.url()), "");
    assert_eq!(done.stdout, [1, 2, 3, 0, 255]);
}

#[test]
fn help_and_version_are_printed_to_the_standard_output() {
    for arguments in ["--help", "connect|--help", "listen|--help", "bench|--help", "--version"] {
        let done = run(arguments, "");
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{arguments}");
        assert!(done.text().contains("sockeye"), "{arguments}: {}", done.text());
    }
    assert!(run("connect|--help", "").text().contains("130  interrupted"), "the exit codes are documented");
}
